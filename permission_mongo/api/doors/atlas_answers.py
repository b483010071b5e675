"""What is shown -> answers of the Atlas Data API: plain JSON, or canonical Extended JSON for who accepts it."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import datetime
from math import isfinite
from typing import Any, Final

import orjson
from bson import json_util
from bson.binary import Binary, UuidRepresentation
from bson.decimal128 import Decimal128
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp
from starlette.responses import Response

from permission_mongo.api.calls import Call
from permission_mongo.api.errors import STATUS, headers_of
from permission_mongo.api.render import JSON, respond
from permission_mongo.errors import Refusal
from permission_mongo.values import date_text

EJSON: Final = "application/ejson"
_CANONICAL: Final = json_util.JSONOptions(
    json_mode=json_util.JSONMode.CANONICAL, uuid_representation=UuidRepresentation.STANDARD
)
_IN_A_TURN: Final = 100  # documents, between which other callers have theirs
# That API has no 422: what breaks a schema is a bad request.
_STATUS: Final = {"schema_validation": 400, "hook_rejected": 400}
_CODES: Final = {
    "bad_request": "InvalidParameter",
    "unauthorized": "InvalidSession",
    "forbidden": "NoMatchingRuleFound",
    "collection_not_found": "NamespaceNotFound",
    "schema_validation": "SchemaValidationFailedWrite",
}


def refuse(refusal: Refusal) -> Response:
    """The gateway's own sentence, under that API's names. Always plain JSON, as there."""
    code = _CODES.get(refusal.code) or refusal.code.title().replace("_", "")
    body: dict[str, Any] = {"error": refusal.message, "error_code": code}
    if refusal.details:
        body["details"] = dict(refusal.details)
    status = _STATUS.get(refusal.code, STATUS[refusal.code])
    return respond(status, body, dict(headers_of(refusal)))


def answer(call: Call, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    extended = _wants_extended(call)
    return Response(_written(body, extended), status, {**(headers or {})}, EJSON if extended else JSON)


async def answer_of_many(call: Call, documents: Iterable[Mapping[str, Any]]) -> Response:
    """`{"documents": [...]}`."""
    extended = _wants_extended(call)
    parts: list[bytes] = []
    for n, document in enumerate(documents, 1):
        parts.append(_written(document, extended))
        if not n % _IN_A_TURN:
            await asyncio.sleep(0)
    body = b"".join((b'{"documents":[', b",".join(parts), b"]}"))
    return Response(body, 200, None, EJSON if extended else JSON)


def _wants_extended(call: Call) -> bool:
    accepted = [one for value in call.request.headers.getlist("accept") for one in value.split(",")]
    return any(one.partition(";")[0].strip().lower() == EJSON for one in accepted)


def _written(body: Mapping[str, Any], extended: bool) -> bytes:
    if extended:
        return orjson.dumps(_canonical(body))
    return orjson.dumps(body, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME)


def _canonical(value: Any) -> Any:
    """As bson's own encoder, in a fraction of its time: other requests wait for it."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is dict:
        return {name: _canonical(one) for name, one in value.items()}
    if kind is list or kind is tuple:
        return [_canonical(one) for one in value]
    if kind is int:
        return {"$numberInt" if -(2**31) <= value < 2**31 else "$numberLong": str(value)}
    if kind is float and isfinite(value):
        return {"$numberDouble": repr(value)}
    return json_util.default(value, _CANONICAL)


def _plain(value: Any) -> Any:
    """Of that API's table of types; a UUID is text, as everywhere here."""
    match value:
        case ObjectId() | Decimal128():
            return str(value)
        case datetime():
            return date_text(value)
        case bytes():
            subtype = value.subtype if isinstance(value, Binary) else 0
            return {"Subtype": subtype, "Data": b64encode(value).decode()}
        case Regex():
            return {"Pattern": value.pattern, "Options": json_util.default(value)["$regularExpression"]["options"]}
        case Timestamp():
            return {"T": value.time, "I": value.inc}
        case MinKey() | MaxKey():
            return {}
        case _:
            return json_util.default(value, json_util.RELAXED_JSON_OPTIONS)
