"""How single values are written: JSON Schema 2020-12 of what the gateway reads and of what it answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from permission_mongo.schema.model import STRING_ID

Shape = dict[str, Any]

FIELDS: Final = r"^[^$,\x00.]+(\.[^$,\x00.]+)*(,[^$,\x00.]+(\.[^$,\x00.]+)*)*$"  # one or more paths
NO_NUL: Final = r"^[^\x00]*$"
_PLAIN: Final = r"^([^{\x00][^\x00]*)?$"  # what begins like an object is read as operators
NAME: Final = r"^(?![0-9]+$)[^$.\x00][^.\x00]*$"  # of a field at the top: no position, no operator, no path
INNER_NAME: Final = r"^[^$.\x00][^.\x00]*$"
_OBJECT_ID: Final = r"^[0-9a-fA-F]{24}$"
_DECIMAL: Final = r"^[+-]?([0-9]{1,17}(\.[0-9]{0,17})?|\.[0-9]{1,17})([eE][+-]?[0-9]{1,3})?$"
_WHOLE: Final = r"^-?[0-9]{1,18}$"
_INT64: Final = 2**63
_LONGEST_ID: Final = 1024
NULL: Final[Shape] = {"type": "null"}
_DATE: Final[Shape] = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]}


def ref(name: str, kind: str = "schemas") -> Shape:
    return {"$ref": f"#/components/{kind}/{name}"}


def an_object(properties: Mapping[str, Shape], required: Iterable[str] = (), **more: Any) -> Shape:
    """With these keys and no other."""
    needed = list(required)
    return {
        "type": "object",
        "properties": dict(properties),
        **({"required": needed} if needed else {}),
        "additionalProperties": False,
        **more,
    }


def a_list(items: Shape, **more: Any) -> Shape:
    return {"type": "array", "items": items, **more}


def text(description: str = "", **more: Any) -> Shape:
    return {"type": "string", **({"description": description} if description else {}), **more}


def whole(least: int, most: int | None = None, **more: Any) -> Shape:
    return {"type": "integer", "minimum": least, **({} if most is None else {"maximum": most}), **more}


def or_null(shape: Shape) -> Shape:
    return {"anyOf": [shape, NULL]}


def _extended(key: str, inner: Shape) -> Shape:
    return an_object({key: inner}, [key])


# What is sent. Extended JSON v2 is taken wherever a value is.
_SENT: Final[Mapping[str, Shape]] = {
    "SentString": text(pattern=NO_NUL),
    "SentInteger": {
        "anyOf": [
            whole(-_INT64, _INT64 - 1),
            _extended("$numberInt", text(pattern=_WHOLE)),
            _extended("$numberLong", text(pattern=_WHOLE)),
        ]
    },
    "SentNumber": {
        "anyOf": [
            {"type": "number"},
            _extended("$numberInt", text(pattern=_WHOLE)),
            _extended("$numberLong", text(pattern=_WHOLE)),
            _extended("$numberDouble", text(pattern=_DECIMAL)),
            _extended("$numberDecimal", text(pattern=_DECIMAL)),
        ]
    },
    "SentDouble": {
        "anyOf": [
            {"type": "number"},
            _extended("$numberInt", text(pattern=_WHOLE)),
            _extended("$numberLong", text(pattern=_WHOLE)),
            _extended("$numberDouble", text(pattern=_DECIMAL)),
        ]
    },
    "SentBoolean": {"type": "boolean"},
    "SentDate": {
        "description": "RFC 3339; without an offset it is UTC, and milliseconds are kept.",
        "anyOf": [*_DATE["anyOf"], _extended("$date", _DATE)],
    },
    "SentObjectId": {"anyOf": [text(pattern=_OBJECT_ID), _extended("$oid", text(pattern=_OBJECT_ID))]},
    "SentUuid": {"anyOf": [text(format="uuid"), _extended("$uuid", text(format="uuid"))]},
    "SentDecimal": {
        "description": "Up to 34 digits; as a text or Extended JSON none is lost.",
        "anyOf": [
            text(pattern=_DECIMAL),
            {"type": "number"},
            _extended("$numberDecimal", text(pattern=_DECIMAL)),
        ],
    },
    "SentAny": {
        "description": "Any JSON, up to 64 levels; names are not empty, begin with no `$` and hold no `.` and no NUL.",
        "anyOf": [
            {"type": ["null", "boolean", "number"]},
            ref("SentString"),
            a_list(ref("SentAny")),
            {
                "type": "object",
                "propertyNames": {"pattern": INNER_NAME},
                "additionalProperties": ref("SentAny"),
            },
            ref("Extended"),
        ],
    },
    "Extended": {
        "description": "A value that JSON has no form for, as Extended JSON v2.",
        "anyOf": [
            _extended("$oid", text(pattern=_OBJECT_ID)),
            _extended("$date", _DATE),
            _extended("$uuid", text(format="uuid")),
            _extended("$numberInt", text(pattern=_WHOLE)),
            _extended("$numberLong", text(pattern=_WHOLE)),
            _extended("$numberDouble", text(pattern=_DECIMAL)),
            _extended("$numberDecimal", text(pattern=_DECIMAL)),
        ],
    },
}
# What is answered.
_SHOWN: Final[Mapping[str, Shape]] = {
    "String": text(),
    "Integer": {"type": "integer"},
    "Number": {"anyOf": [{"type": "number"}, ref("Decimal")]},
    "Boolean": {"type": "boolean"},
    "Date": text("RFC 3339 with `Z`.", format="date-time"),
    "ObjectId": text(pattern=r"^[0-9a-f]{24}$"),
    "Uuid": text(format="uuid"),
    "Decimal": an_object({"$numberDecimal": text()}, ["$numberDecimal"]),
    "Any": {"description": "Any JSON; what JSON has no form for is Extended JSON v2."},
    "Masked": text("A mask stands for the value."),
}
VALUES: Final[Mapping[str, Shape]] = {**_SENT, **_SHOWN}
_NAMES: Final = {
    "string": "String",
    "integer": "Integer",
    "number": "Number",
    "boolean": "Boolean",
    "date": "Date",
    "objectId": "ObjectId",
    "uuid": "Uuid",
    "decimal": "Decimal",
    "any": "Any",
}


def shown(kind: str) -> Shape:
    """A value of the schema's type `kind` as it is answered."""
    return ref(_NAMES[kind])


def sent(kind: str) -> Shape:
    """The same as it is read."""
    return ref(f"Sent{_NAMES[kind]}")


def in_url(kind: str) -> Shape:
    """The same as the text of a parameter."""
    match kind:
        case "integer":
            return whole(-_INT64, _INT64 - 1)
        case "number":
            return {"type": "number"}
        case "boolean":
            return {"type": "boolean"}
        case "date":
            return _DATE
        case "objectId":
            return text(pattern=_OBJECT_ID)
        case "uuid":
            return text(format="uuid")
        case "decimal":
            return text(pattern=_DECIMAL)
        case _:
            return text(pattern=_PLAIN)


def id_in_path(kind: str) -> Shape:
    return text(pattern=f"^{STRING_ID.pattern}$") if kind == "string" else in_url(kind)


def id_sent(kind: str) -> Shape:
    """The id of a stored document in a body."""
    return text(pattern=NO_NUL, minLength=1, maxLength=_LONGEST_ID) if kind == "string" else sent(kind)


def id_shown(kind: str) -> Shape:
    return shown(kind)
