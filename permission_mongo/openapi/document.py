"""The whole description, put together for one audience."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from permission_mongo import __version__
from permission_mongo.config.model import Config
from permission_mongo.openapi import fields
from permission_mongo.openapi.answers import ANSWERS
from permission_mongo.openapi.audience import Audience, Seen, everybody, nobody
from permission_mongo.openapi.bodies import schema_name
from permission_mongo.openapi.changes import operators
from permission_mongo.openapi.filters import filters
from permission_mongo.openapi.parameters import for_route, shared
from permission_mongo.openapi.refusals import OF_CALLERS, REQUEST_ID, Refusals, shapes
from permission_mongo.openapi.routes import OF_VERSIONS, ROUTES, Route
from permission_mongo.openapi.service import Served, served
from permission_mongo.openapi.words import VALUES, Shape, ref

_VERSION: Final = "3.1.0"
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_ABOUT: Final = """A permission-aware gateway in front of MongoDB. This is what you may ask of it: collections, actions
and fields that your credential has in some row. What is hidden in a row is absent there; a hidden, a masked and an
unknown field get the same 403, absent and invisible documents the same 404.

Extended JSON (`{"$oid"}`, `{"$date"}`, `{"$numberDecimal"}`, ...) is taken wherever a value is."""
_TELLS: Final[Mapping[int, str]] = {
    200: "Done.",
    201: "Created.",
    202: "Begun: what is left goes on as a job.",
    206: "The part that `Range` asked for.",
    207: "Done in part: `error` says why, `failed` what was not done.",
    304: "The caller has this very view.",
    503: "MongoDB can't be reached.",
}
_HEADERS: Final[Mapping[str, Shape]] = {
    "X-Request-ID": REQUEST_ID,
    "ETag": {"description": "Of all that the caller is shown.", "schema": {"type": "string"}},
    "Location": {"description": "Where it is.", "schema": {"type": "string"}},
    "Idempotency-Replayed": {"description": "An earlier answer, told again.", "schema": {"const": "true"}},
    "Preference-Applied": {"schema": {"const": "respond-async"}},
}
_OF_JOBS: Final = ("Location!", "Preference-Applied!")
_MOST_KEPT: Final = 64


@lru_cache(maxsize=_MOST_KEPT)
def description(audience: Audience) -> Mapping[str, Any]:
    """OpenAPI 3.1. One audience has one description; who asks for it again is handed the same."""
    refusals = Refusals()
    paths: dict[str, Shape] = {}
    for path, method, operation in (*_of_service(audience, refusals), *_of_documents(audience, refusals)):
        paths.setdefault(path, {})[method] = operation
    found = {
        "openapi": _VERSION,
        "jsonSchemaDialect": _DIALECT,
        "info": {"title": "permission-mongo", "version": __version__, "description": _ABOUT},
        "tags": [{"name": "service", "description": "Of the gateway itself."}, *map(_tag, audience.collections)],
        "security": _security(audience),
        "paths": paths,
        "components": {
            "schemas": {**VALUES, **shapes(), **ANSWERS, **_schemas(audience)},
            "parameters": shared(audience),
            "headers": dict(_HEADERS),
            "responses": refusals.made,
            "securitySchemes": _schemes(audience),
        },
    }
    return {**found, "components": _referred_to(found)}


def _referred_to(found: Mapping[str, Any]) -> dict[str, dict[str, Shape]]:
    """The components that some route leads to."""
    components = found["components"]
    named: set[str] = set()
    waiting = [found["paths"]]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            waiting += one.values()
            name = one.get("$ref")
            if isinstance(name, str) and name not in named:
                named.add(name)
                _, _, kind, key = name.split("/")
                waiting.append(components[kind][key])
    return {
        kind: {
            key: one
            for key, one in of_kind.items()
            if kind == "securitySchemes" or f"#/components/{kind}/{key}" in named
        }
        for kind, of_kind in components.items()
    }


def public_description(config: Config) -> Mapping[str, Any]:
    """For who shows no credential."""
    return description(everybody(config) if config.openapi.public else nobody(config))


def _tag(seen: Seen) -> Shape:
    return {"name": "documents" if seen.is_any else seen.collection.name}


def _schemes(audience: Audience) -> Shape:
    told = "A JWT, or an API key." if audience.api_keys else "A JWT."
    bearer = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": told}
    key = {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    return {"bearer": bearer, **({"api_key": key} if audience.api_keys else {})}


def _security(audience: Audience) -> list[Shape]:
    return [{"bearer": []}, *([{"api_key": []}] if audience.api_keys else [])]


def _schemas(audience: Audience) -> dict[str, Shape]:
    """Of each collection those that some route refers to."""
    found: dict[str, Shape] = {}
    for seen in audience.collections:
        found[schema_name(seen)] = fields.document(seen)
        found |= dict(filters(seen, audience.max_regex_length))
        if "create" in seen.actions:
            found[schema_name(seen, "New")] = fields.new_document(seen)
        if "update" in seen.actions:
            change = {"anyOf": [ref(schema_name(seen, "Patch")), ref(schema_name(seen, "Operators"))]}
            found[schema_name(seen, "Put")] = fields.put_document(seen)
            found[schema_name(seen, "Patch")] = fields.patch_document(seen)
            found[schema_name(seen, "Operators")] = operators(seen)
            found[schema_name(seen, "Change")] = change
            found[schema_name(seen, "ChangeOfAll")] = {**change, "description": "It names no `_id`."}
    return found


# -- routes about documents


def _of_documents(audience: Audience, refusals: Refusals) -> Iterator[tuple[str, str, Shape]]:
    for seen in audience.collections:
        for route in ROUTES:
            fits = (seen.versioned or not route.versioned) and (seen.is_any or seen.blobs or not route.of_blobs)
            if fits and seen.actions.issuperset(route.needs):
                path = route.path if seen.is_any else route.path.replace("{collection}", seen.collection.name)
                yield path, route.method.lower(), _operation(route, seen, audience, refusals)


def _operation(route: Route, seen: Seen, audience: Audience, refusals: Refusals) -> Shape:
    name = "documents" if seen.is_any else seen.collection.name
    taken = tuple(one for one in route.parameters if seen.versioned or one not in OF_VERSIONS)
    keyed = ("idempotency_key",) if route.keyed else ()
    codes = {*route.codes, *OF_CALLERS, "collection_not_found", "timeout"}
    if not seen.versioned:
        codes -= {"as_of_out_of_range"}
    if seen.is_any:
        codes |= {"versioning_not_enabled"}
    operation: Shape = {
        "operationId": f"{name}.{route.name}",
        "tags": [name],
        "summary": route.summary,
        "parameters": for_route((*taken, *keyed), seen, audience),
        "responses": {**_answers(route, seen), **refusals.of(codes)},
    }
    if route.body is not None:
        operation["requestBody"] = route.body(seen, audience)
    return operation


def _answers(route: Route, seen: Seen) -> dict[str, Shape]:
    return {
        str(status): _answer(
            status, body, _OF_JOBS if status == 202 else route.headers, _links(route, status, seen), (route.kind,)
        )
        for status, body in route.answers(seen).items()
    }


def _answer(
    status: int,
    body: Shape | None,
    headers: tuple[str, ...],
    links: Shape,
    kinds: tuple[str, ...] = ("application/json",),
) -> Shape:
    """A header whose name ends in `!` is always there."""
    told = {one.rstrip("!"): _header(one) for one in ("X-Request-ID", *headers)}
    content: Shape = {} if body is None else {"content": {kind: {"schema": body} for kind in kinds[:1]}}
    for kind in kinds[1:]:
        content["content"][kind] = {"schema": {"type": "string"}}
    return {"description": _TELLS[status], "headers": told, **content, **({"links": links} if links else {})}


def _header(name: str) -> Shape:
    if not name.endswith("!"):
        return ref(name, "headers")
    return {"required": True, **_HEADERS[name.rstrip("!")]}


def _links(route: Route, status: int, seen: Seen) -> Shape:
    """What can be asked of a document that was created."""
    if route.name != "create" or status != 201:
        return {}
    name = "documents" if seen.is_any else seen.collection.name
    return {
        one.name: {"operationId": f"{name}.{one.name}", "parameters": {"id": "$response.body#/_id"}}
        for one in ROUTES
        if one.path in ("/{collection}/{id}", "/{collection}/{id}/versions")
        and seen.actions.issuperset(one.needs)
        and (seen.versioned or not one.versioned)
    }


# -- routes of the gateway itself


def _of_service(audience: Audience, refusals: Refusals) -> Iterator[tuple[str, str, Shape]]:
    for one in served(audience):
        yield one.path, one.method.lower(), _service_operation(one, audience, refusals)


def _service_operation(one: Served, audience: Audience, refusals: Refusals) -> Shape:
    codes = {*one.codes, *OF_CALLERS, "timeout"} if one.asks != "neither" else {"internal_error", *one.codes}
    answers = {str(status): _answer(status, body, one.headers, {}, one.kinds) for status, body in one.answers.items()}
    operation: Shape = {
        "operationId": one.name,
        "tags": ["service"],
        "summary": one.summary,
        "parameters": for_route(one.parameters, None, audience),
        "responses": {**refusals.of(codes), **answers},
    }
    if one.body is not None:
        operation["requestBody"] = one.body
    if one.asks != "needed":
        operation["security"] = [] if one.asks == "neither" else [{}, *_security(audience)]
    return operation
