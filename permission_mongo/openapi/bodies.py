"""The bodies of requests about documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from permission_mongo.openapi.audience import Audience, Seen
from permission_mongo.openapi.examples import example_of
from permission_mongo.openapi.filters import filter_name
from permission_mongo.openapi.words import FIELDS, NO_NUL, Shape, a_list, an_object, id_sent, ref, text, whole
from permission_mongo.query.pipeline import STAGES

_JSON: Final = "application/json"
_MERGE_PATCH: Final = "application/merge-patch+json"
_MOST_AFFECTED: Final = 10**9
_REASON: Final = text("Kept with every version.", minLength=1, maxLength=1000, pattern=NO_NUL)
_OPTIONS: Final[Mapping[str, Shape]] = {
    "atomic": {"type": "boolean", "default": False, "description": "All or nothing."},
    "dry_run": {"type": "boolean", "default": False, "description": "Everything is run and nothing committed."},
    "max_affected": whole(0, _MOST_AFFECTED, description="More than this: 400, and nothing is touched."),
    "results": {"type": "boolean", "default": False, "description": "What became of each item."},
    "reason": _REASON,
}
_TAG: Final = text("As in `If-Match`.", pattern=r'^(\*|(W/)?"[\x21\x23-\x7e]*")$')
_SHOWN: Final = a_list(text(pattern=r"^[^$\x00.]+(\.[^$\x00.]+)*$"), minItems=1, maxItems=200)
_AS_TEXT: Final = text(pattern=FIELDS)  # the same with commas


def schema_name(seen: Seen, part: str = "") -> str:
    """Of a schema of the collection among the components."""
    name = "Any" if seen.is_any else seen.collection.name
    return f"{name}.{part}" if part else f"{name}.Document"


def create_one(seen: Seen, audience: Audience) -> Shape:
    return _body(ref(schema_name(seen, "New")), example=example_of(seen))


def put_one(seen: Seen, audience: Audience) -> Shape:
    return _body(ref(schema_name(seen, "Put")))


def patch_one(seen: Seen, audience: Audience) -> Shape:
    merge, operators = ref(schema_name(seen, "Patch")), ref(schema_name(seen, "Operators"))
    either: Shape = {"schema": {"anyOf": [merge, operators]}}
    return {"required": True, "content": {_JSON: either, _MERGE_PATCH: either}}


def purge_one(seen: Seen, audience: Audience) -> Shape:
    reason = text("It is all that will be left.", minLength=1, maxLength=1000, pattern=NO_NUL)
    return _body(an_object({"reason": reason}, ["reason"]))


def bytes_of_blob(seen: Seen, audience: Audience) -> Shape:
    return {"required": True, "content": {"application/octet-stream": {"schema": {}}}}


def nothing(seen: Seen | None, audience: Audience) -> Shape:
    return {"required": False, "content": {_JSON: {"schema": an_object({})}}}


def query(seen: Seen, audience: Audience) -> Shape:
    names = a_list(text(pattern=r"^[^$\x00.]+$"), minItems=1, maxItems=8)
    fields = {
        "filter": ref(filter_name(seen)),
        "sort": {"anyOf": [names, text()], "description": "Fields, each upwards or, with `-`, downwards."},
        "fields": {"anyOf": [_SHOWN, _AS_TEXT]},
        "limit": whole(1, 2**31),
        "cursor": text("`pagination.cursor` of the page before."),
        "count": {"type": "boolean"},
        "presign": {"type": "boolean"},
        "skip": whole(0, audience.max_result_size, description="Goes with no cursor."),
    }
    return _body(an_object(fields))


def count(seen: Seen, audience: Audience) -> Shape:
    return {**_body(an_object({"filter": ref(filter_name(seen))})), "required": False}


def aggregate(seen: Seen, audience: Audience) -> Shape:
    stage = {"type": "object", "minProperties": 1, "maxProperties": 1, "propertyNames": {"enum": sorted(STAGES)}}
    example = {"pipeline": [{"$group": {"_id": None, "count": {"$sum": 1}}}]}
    return _body(an_object({"pipeline": a_list(stage, minItems=1)}, ["pipeline"]), example=example)


def create_many(seen: Seen, audience: Audience) -> Shape:
    documents = a_list(ref(schema_name(seen, "New")), minItems=1, maxItems=audience.max_batch_size)
    return _body(an_object({"documents": documents, **_OPTIONS}, ["documents"]))


def get_many(seen: Seen, audience: Audience) -> Shape:
    return _body(an_object({"ids": _ids(seen, audience), "fields": _SHOWN, "presign": {"type": "boolean"}}, ["ids"]))


def delete_many(seen: Seen, audience: Audience) -> Shape:
    item = an_object({"id": id_sent(seen.collection.id_type), "if_match": _TAG}, ["id"])
    items = a_list(item, minItems=1, maxItems=audience.max_batch_size, description="No id twice.")
    return _body(
        {
            "anyOf": [
                an_object({"ids": _ids(seen, audience), **_OPTIONS}, ["ids"]),
                an_object({"items": items, **_OPTIONS}, ["items"]),
                *_by_filter(seen, {}),
            ]
        }
    )


def update_many(seen: Seen, audience: Audience) -> Shape:
    change = ref(schema_name(seen, "Change"))
    item = an_object({"id": id_sent(seen.collection.id_type), "update": change, "if_match": _TAG}, ["id", "update"])
    items = a_list(item, minItems=1, maxItems=audience.max_batch_size, description="No id twice.")
    for_all = ref(schema_name(seen, "ChangeOfAll"))
    return _body(
        {
            "anyOf": [
                an_object({"ids": _ids(seen, audience), "update": for_all, **_OPTIONS}, ["ids", "update"]),
                an_object({"updates": items, **_OPTIONS}, ["updates"]),
                *_by_filter(seen, {"update": for_all}),
            ]
        }
    )


def undo(seen: Seen, audience: Audience) -> Shape:
    return {**_body(an_object(_OPTIONS)), "required": False}


def _by_filter(seen: Seen, more: Mapping[str, Shape]) -> list[Shape]:
    """An empty filter only with `all`."""
    asked = ref(filter_name(seen, stored=True))
    own = {**more, **_OPTIONS}
    some: Shape = {"allOf": [asked], "minProperties": 1}
    return [
        an_object({"filter": some, "all": {"type": "boolean"}, **own}, ["filter", *more]),
        an_object({"filter": asked, "all": {"const": True}, **own}, ["filter", "all", *more]),
    ]


def _ids(seen: Seen, audience: Audience) -> Shape:
    return a_list(id_sent(seen.collection.id_type), minItems=1, maxItems=audience.max_batch_size)


def _body(schema: Shape, example: Any = None) -> Shape:
    content: Shape = {"schema": schema, **({} if example is None else {"example": example})}
    return {"required": True, "content": {_JSON: content}}
