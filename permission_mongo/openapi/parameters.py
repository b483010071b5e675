"""Parameters of the routes: those that are alike everywhere are components, those of a collection are made for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from permission_mongo.openapi.audience import Audience, Seen
from permission_mongo.openapi.filters import equalities, filter_name, sorting
from permission_mongo.openapi.words import FIELDS, NO_NUL, Shape, id_in_path, ref, text, whole

_TAGS: Final = r'^(\*|(W/)?"[\x21\x23-\x7e]*"(, ?(W/)?"[\x21\x23-\x7e]*")*)$'
_NUMBER: Final = 999_999_999_999_999
_MOST_LIMIT: Final = 2**31
_MOST_VERSION: Final = 2**53
_MOMENT: Final[Shape] = {"type": "string", "format": "date-time"}
_NUMBER_OF_MOST: Final = 1000
BATCH_ID: Final = "^[0-9a-f]{32}$"


def _header(name: str, description: str, schema: Shape, **more: Any) -> Shape:
    return {"name": name, "in": "header", "description": description, "schema": schema, **more}


def _query(name: str, description: str, schema: Shape, **more: Any) -> Shape:
    return {"name": name, "in": "query", "description": description, "schema": schema, **more}


def _path(name: str, description: str, schema: Shape) -> Shape:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


SHARED: Final[Mapping[str, Shape]] = {
    "request_id": _header("X-Request-ID", "Comes back with the answer where it is a plain one.", text()),
    "if_match": _header(
        "If-Match", "The document must be one of these, as the caller sees it; else 412.", text(pattern=_TAGS)
    ),
    "if_none_match": _header("If-None-Match", "304 where the caller has this very view.", text(pattern=_TAGS)),
    "hash_matches": _header(
        "If-Match",
        "The hash of the file as it was read.",
        text(pattern=r'^"[\x21\x23-\x7e]*"$'),
        required=True,
    ),
    "idempotency_key": _header(
        "Idempotency-Key",
        "A write that comes again under it has no second effect.",
        text(pattern=r"^[\x21-\x7e]{1,255}$"),
    ),
    "change_reason": _header(
        "X-Change-Reason", "Kept with the version.", text(minLength=1, maxLength=1000, pattern=NO_NUL)
    ),
    "prefer": _header(
        "Prefer", "`respond-async`: 202 and a job, where a filter's work takes long.", text(examples=["respond-async"])
    ),
    "limit": _query("_limit", "Rows of a page; capped at `limits.max_result_size`.", whole(1, _MOST_LIMIT)),
    "cursor": _query("_cursor", "`pagination.cursor` of the page before.", text(minLength=1)),
    "count": _query("_count", "Adds the total.", {"type": "boolean"}),
    "as_of": _query("_as_of", "A moment of the past.", _MOMENT),
    "presign": _query("_presign", "Each blob that is shown raw has a `url` of its bytes.", {"type": "boolean"}),
    "filename": _query("filename", "What the bytes are called.", text(minLength=1, maxLength=80)),
    "token": _path("token", "As it was given.", text()),
    "replace": _query("_replace", "The whole document, not only what is sent.", {"type": "boolean"}),
    "versions_limit": _query("_limit", "The newest so many.", whole(1, 100)),
    "before": _query("_before", "Versions older than this one.", whole(1, _MOST_VERSION)),
    "version": _path("version", "Its number.", whole(0, _NUMBER)),
    "from": _path("from", "The number of a version.", whole(0, _NUMBER)),
    "to": _path("to", "The number of a version.", whole(0, _NUMBER)),
    "batch": _path("batch", "Its id.", text(pattern=BATCH_ID)),
    "job": _path("job", "Its id.", text(pattern=BATCH_ID)),
    "jobs_limit": _query("_limit", "The newest so many.", whole(1, 100)),
    "audit_limit": _query("_limit", "Entries of a page.", whole(1, _NUMBER_OF_MOST)),
    "audit_from": _query("_from", "Not before this moment.", _MOMENT),
    "audit_to": _query("_to", "Before this moment.", _MOMENT),
    "audit_kind": _query("kind", "What is noted.", {"enum": ["write", "read", "refusal"]}),
    "audit_id": _query("id", "Of a document, of the `collection` that is asked for.", text(minLength=1)),
    **{
        f"audit_{name}": _query(name, "Equal to this.", text(minLength=1, maxLength=1024, pattern=NO_NUL))
        for name in ("subject", "action", "collection", "batch", "request_id", "code")
    },
}


def shared(audience: Audience) -> dict[str, Shape]:
    """The components. Where there are namespaces, those that may be named."""
    return {**SHARED, **({"namespace": _namespace(audience)} if audience.namespaces else {})}


def _namespace(audience: Audience) -> Shape:
    told = "One of the caller's databases; without it the default one."
    return _header("X-Namespace", told, {"enum": list(audience.namespaces)})


def for_route(names: tuple[str, ...], seen: Seen | None, audience: Audience) -> list[Shape]:
    """References, or what only this collection has under that name."""
    everywhere = ("request_id", *(("namespace",) if audience.namespaces else ()))
    found: list[Shape] = []
    for name in (*names, *everywhere):
        found += (
            _of_collection(name, seen) if seen is not None and name in _OF_COLLECTION else [ref(name, "parameters")]
        )
    return found


_OF_COLLECTION: Final = ("blob", "collection", "id", "sort", "fields", "filter", "equal")


def _of_collection(name: str, seen: Seen) -> list[Shape]:
    match name:
        case "blob":
            return [_path("field", "A blob.", text() if seen.is_any else {"enum": list(seen.blobs)})]
        case "collection":
            return [_path("collection", "Its name.", text())] if seen.is_any else []
        case "id":
            return [_path("id", "Of the document.", id_in_path(seen.collection.id_type))]
        case "sort":
            return [_query("_sort", "`a,-b`: upwards by `a`, then downwards by `b`.", _order(seen))]
        case "fields":
            return [_query("_fields", "`a,b.c`: only these, of what is shown.", _choice(seen))]
        case "filter":
            content = {"application/json": {"schema": ref(filter_name(seen))}}
            return [{"name": "_filter", "in": "query", "description": "A JSON filter.", "content": content}]
        case _:
            told = 'Equal to this; operators are written as JSON, such as `{"$gt": 18}`.'
            return [_query(path, told, shape) for path, shape in equalities(seen)]


def _order(seen: Seen) -> Shape:
    """One field for certain; of several, at most one may be an array."""
    if seen.is_any:
        return text()
    return text(examples=sorting(seen)[:2], pattern=FIELDS)


def _choice(seen: Seen) -> Shape:
    if seen.is_any:
        return text()
    return text(examples=["_id", ",".join([".".join(path) for path in sorted(seen.raw)][:2]) or "_id"], pattern=FIELDS)
