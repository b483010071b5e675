"""What can be asked of a door, in its own words: one row a door, for tests that each of them must pass."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from permission_mongo.api.doors import DOORS
from tests.http.doors.data_api import AT
from tests.http.harness import CONFIG, SCHEMA

EVERY = f"{CONFIG}doors: [{', '.join(DOORS)}]\n"
TEXTS = SCHEMA.replace(
    "      ssn: {type: string}\n", "      ssn: {type: string}\n      text: {type: string}\n      photo: {type: blob}\n"
)
POLICY = """
roles: {viewer: {}, user: {inherits: [viewer]}, boss: {inherits: [user]}, root: {cross_tenant: true}}
policies:
  notes:
    viewer: {actions: [read], when: "resource.status == 'closed'", fields: {allow: [title, text, status, age]}}
    user:
      - {actions: [create, read, update, delete, restore, aggregate], when: "resource.owner_id == user.id", fields: {deny: [pay], mask: {ssn: last4}}}
      - {effect: deny, actions: [delete], when: "resource.status == 'locked'"}
    boss: {actions: ["*", purge]}
    root: {actions: ["*"]}
  plain:
    boss: {actions: ["*"]}
"""
Body = dict[str, Any]
Route = tuple[str, str]
OPERATORS = ("$where", "$expr", "$function", "$accumulator", "$jsonSchema", "$text", "$near", "$comment", "$out", "$merge", "$unionWith", "$graphLookup", "$setOnInsert", "$bit", "$type", "$mod")  # fmt: skip


@dataclass(frozen=True)
class Words:
    """`right` has each route that reads a body with one that is taken, and `one` those about the document of an id, which
    stands for `ID` in a path. `creates` makes one of that id. `written` are places that name a field with a value to be
    written, and `named` those that name one to be read.

    `filters` says how a route is asked with a filter, and the next four are filters: all ways to mean everything, what is
    refused whatever it is of (`hostile`), what is beyond the limits (`larger`), and one by a pattern. `odd` is taken by no route.
    Of answers: `keys` are those of a refusal, `shown` tells the ids in a read, and `undone` whether 200 says that nothing was done.
    """

    keys: frozenset[str]
    right: Mapping[Route, Body]
    one: Mapping[str, tuple[Route, Callable[[Any], Body]]]
    written: Mapping[str, tuple[Route, Callable[[str, Any], Body]]]
    shown: Callable[[Any], Iterable[str]]
    creates: tuple[tuple[Route, Callable[[str], Body]], ...]
    filters: Mapping[Route, Callable[[Any], Body]] = field(default_factory=dict)
    everything: tuple[Any, ...] = ()
    hostile: tuple[Any, ...] = ()
    larger: tuple[Any, ...] = ()
    patterns: Callable[[str], Any] | None = None
    named: Mapping[str, tuple[Route, Callable[[str], Body]]] = field(default_factory=dict)
    odd: tuple[tuple[Route, Body], ...] = ()
    deletes: frozenset[Route] = frozenset()
    undone: Callable[[Any], bool] = lambda told: False


# -- the Atlas Data API


def _atlas(action: str) -> Route:
    return "POST", f"{AT}/{action}"


def _placed(**body: Any) -> Body:
    return {"dataSource": "c", "database": "default", "collection": "notes", **body}


_SET = {"$set": {"text": "n"}}
_RIGHT = {
    "findOne": {}, "find": {}, "insertOne": {"document": {"title": "n"}}, "insertMany": {"documents": [{"title": "n"}]},
    "updateOne": {"filter": {"_id": "a"}, "update": _SET}, "updateMany": {"filter": {"_id": "a"}, "update": _SET, "upsert": True},
    "replaceOne": {"filter": {"_id": "a"}, "replacement": {"title": "n"}}, "deleteOne": {"filter": {"_id": "a"}},
    "deleteMany": {"filter": {"_id": "a"}}, "aggregate": {"pipeline": [{"$count": "n"}]},
}  # fmt: skip
_WRITTEN = {
    "insertOne": lambda name, value: {"document": {"title": "n", name: value}},
    "insertMany": lambda name, value: {"documents": [{"title": "n", name: value}]},
    "replaceOne": lambda name, value: {"filter": {"_id": "a"}, "replacement": {"title": "n", name: value}},
    "replaceOne upsert": lambda name, value: {"filter": {"_id": "z"}, "replacement": {"title": "n", name: value}, "upsert": True},
    "updateOne upsert": lambda name, value: {"filter": {"_id": "z"}, "update": {"$set": {"title": "n", name: value}}, "upsert": True},
    "updateMany upsert": lambda name, value: {"filter": {"_id": "z"}, "update": {"$setOnInsert": {"title": "n", name: value}}, "upsert": True},
    "updateOne filter": lambda name, value: {"filter": {"_id": "z", name: value}, "update": {"$set": {"title": "n"}}, "upsert": True},
    **{
        f"{action} {operator}": lambda name, value, operator=operator: {"filter": {"_id": "a"}, "update": {operator: {name: value}}}
        for action in ("updateOne", "updateMany")
        for operator in ("$set", "$unset", "$min", "$max", "$push", "$addToSet")
    },
    "updateOne $rename": lambda name, value: {"filter": {"_id": "a"}, "update": {"$rename": {"title": name}}},
    "updateMany $inc": lambda name, value: {"filter": {"_id": "a"}, "update": {"$inc": {name: 1}}},
    "updateMany $currentDate": lambda name, value: {"filter": {"_id": "a"}, "update": {"$currentDate": {name: True}}},
}  # fmt: skip
_NAMED = {
    "find filter": lambda name: {"filter": {name: 1}}, "findOne in logic": lambda name: {"filter": {"$nor": [{"$and": [{name: {"$exists": True}}]}]}},
    "find projection": lambda name: {"projection": {name: 1}}, "findOne without": lambda name: {"projection": {name: 0}},
    "find sort": lambda name: {"sort": {name: -1}}, "deleteOne filter": lambda name: {"filter": {name: {"$gt": 1}}},
    "deleteMany filter": lambda name: {"filter": {"$or": [{name: 1}]}}, "updateOne filter": lambda name: {"filter": {name: 1}, "update": _SET},
    "updateMany filter": lambda name: {"filter": {name: 1}, "update": _SET, "upsert": True},
    "replaceOne filter": lambda name: {"filter": {name: 1}, "replacement": {"title": "n"}, "upsert": True},
    "aggregate match": lambda name: {"pipeline": [{"$match": {name: 1}}, {"$count": "n"}]},
    "aggregate group": lambda name: {"pipeline": [{"$group": {"_id": f"${name}"}}]},
    "aggregate sort": lambda name: {"pipeline": [{"$sort": {name: 1}}, {"$count": "n"}]},
}  # fmt: skip


def _nested(levels: int) -> Body:
    found: Body = {"title": "n"}
    for _ in range(levels):
        found = {"$and": [found]}
    return found


_ATLAS = Words(
    frozenset({"error", "error_code", "details"}),
    {_atlas(action): _placed(**body) for action, body in _RIGHT.items()},
    {
        f"{action}{n}": (_atlas(action), lambda one, body=body: _placed(**body(one)))
        for n, (action, body) in enumerate(
            (
                ("findOne", lambda one: {"filter": {"_id": one}}),
                ("find", lambda one: {"filter": {"_id": {"$in": [one]}}, "sort": {"age": 1}}),
                ("updateOne", lambda one: {"filter": {"_id": one}, "update": _SET}),
                ("updateMany", lambda one: {"filter": {"_id": one}, "update": {"$inc": {"age": 1}}}),
                ("updateOne", lambda one: {"filter": {"_id": one}, "update": {"$set": {"owner_id": "alice"}}}),
                ("updateMany", lambda one: {"filter": {"_id": one}, "update": {"$set": {"status": "lost"}}}),
                ("replaceOne", lambda one: {"filter": {"_id": one}, "replacement": {"title": "n"}}),
                ("deleteOne", lambda one: {"filter": {"_id": one}}),
                ("deleteMany", lambda one: {"filter": {"_id": {"$gte": one, "$lte": one}}}),
                ("aggregate", lambda one: {"pipeline": [{"$match": {"_id": one}}, {"$count": "n"}]}),
            )
        )
    },
    {
        place: (_atlas(place.split()[0]), lambda name, value, body=body: _placed(**body(name, value)))
        for place, body in _WRITTEN.items()
    },
    lambda told: [one["_id"] for one in told.get("documents", [told.get("document")]) if one is not None and "_id" in one],
    tuple(
        (_atlas(action), lambda one, body=body: _placed(**body(one)))
        for action, body in (
            ("insertOne", lambda one: {"document": {"_id": one, "title": "n"}}),
            ("insertMany", lambda one: {"documents": [{"_id": one, "title": "n"}]}),
            ("replaceOne", lambda one: {"filter": {"_id": one}, "replacement": {"title": "n"}, "upsert": True}),
            ("updateOne", lambda one: {"filter": {"_id": one}, "update": {"$set": {"title": "n"}}, "upsert": True}),
            ("updateMany", lambda one: {"filter": {"_id": {"$eq": one}, "age": 3}, "update": {"$set": {"title": "n"}}, "upsert": True}),
            ("updateOne", lambda one: {"filter": {"age": 3}, "update": {"$setOnInsert": {"_id": one, "title": "n"}}, "upsert": True}),
        )
    ),
    filters={
        _atlas(action): lambda asked, more=more: _placed(filter=asked, **more)
        for action, more in (
            ("find", {}), ("findOne", {}), ("deleteOne", {}), ("deleteMany", {}), ("updateOne", {"update": _SET}),
            ("updateMany", {"update": _SET, "upsert": True}), ("replaceOne", {"replacement": {"title": "n"}, "upsert": True}),
        )
    },
    everything=(
        {},
        {"$or": [{}, {"status": "open"}]},
        {"$or": [{"tenant_id": "evil"}, {"tenant_id": {"$ne": "x"}}]},
        {"$nor": [{"status": "nothing"}]},
        {"$and": [{"$or": [{"_id": {"$exists": True}}, {"owner_id": "bob"}]}]},
        {"_id": {"$nin": []}},
        {"tenant_id": {"$in": ["acme", "evil"]}},
        {"title": {"$regex": ""}},
    ),
    hostile=(
        *({operator: "1"} for operator in OPERATORS),
        *({"title": {operator: "1"}} for operator in OPERATORS),
        *({"$and": [{"$or": [{operator: {"a": 1}}]}]} for operator in OPERATORS),
        *({"lines": {"$elemMatch": {operator: 1}}} for operator in OPERATORS),
        {"title": {"$regex": "n", "$options": "s"}}, {"$query": {}}, {"$$ROOT": 1}, {"title": {"title": "n"}}, [], "x", 5, None,
    ),
    larger=(
        _nested(12), {"$or": [{"age": n} for n in range(300)]}, {"age": {"$in": [*range(10_001)]}}, {f"pay.x{n}": 1 for n in range(300)},
        {"title": {"$regex": "x" * 1_001}},
    ),
    patterns=lambda text: {"title": {"$regex": text}},
    named={
        place: (_atlas(place.split()[0]), lambda name, body=body: _placed(**body(name))) for place, body in _NAMED.items()
    },
    odd=(
        *((_atlas(action), _placed(projection=one)) for action in ("find", "findOne") for one in ({"z": "$ssn"}, {"ssn": {"$slice": 1}}, {"z": {"$literal": 1}}, {"title": 1, "age": 0}, ["ssn"])),
        *((_atlas("find"), _placed(sort=one)) for one in ({"age": {"$meta": "x"}}, {"age": 2}, ["age"], {f"f{n}": 1 for n in range(40)})),
        *((_atlas("aggregate"), _placed(pipeline=one)) for one in ([{"$out": "x"}], [{"$merge": "x"}], [{"$project": {"z": {"$function": {}}}}], [{"$match": {"$where": "1"}}], [{"$group": {"_id": "$$ROOT"}}], [{"$limit": 1}] * 200)),
        *((_atlas("updateOne"), _placed(filter={}, update=one, upsert=True)) for one in ([{"$set": {"title": "n"}}], {"$bit": {"age": {"and": 1}}}, {"$set": {"tags.$[x]": 1}}, {"$pullAll": {"tags": []}}, {"$setOnInsert": {"$where": 1}})),
        (_atlas("find"), _placed(maxTimeMS=0)), (_atlas("find"), _placed(limit=10**6)), (_atlas("find"), _placed(skip=10**9)),
        (_atlas("insertMany"), _placed(documents=[{"title": "n"}] * 1_001)), (_atlas("find"), _placed(collection={"$ne": 1})),
    ),
    deletes=frozenset({_atlas("deleteOne"), _atlas("deleteMany")}),
)  # fmt: skip


# -- the Moorcheh API


_IN = "/namespaces/notes/documents"
_TEXT = {"id": "b", "title": "n", "text": "n"}
_MOORCHEH = Words(
    frozenset({"error", "message", "details"}),
    {
        ("POST", _IN): {"documents": [_TEXT]},
        ("POST", f"{_IN}/delete"): {"ids": ["a"]},
        ("POST", f"{_IN}/get"): {"ids": ["a"]},
        ("POST", f"/v1{_IN}/delete"): {"ids": ["a"]},
        ("POST", "/namespaces"): {"namespace_name": "new", "type": "text"},
    },
    {
        "delete": (("POST", f"{_IN}/delete"), lambda one: {"ids": [one]}),
        "delete among others": (("POST", f"/v1{_IN}/delete"), lambda one: {"ids": [one, "absent", "nothing"]}),
        "get": (("POST", f"{_IN}/get"), lambda one: {"ids": [one]}),
    },
    {
        "beside": (("POST", _IN), lambda name, value: {"documents": [{**_TEXT, name: value}]}),
        "metadata": (("POST", _IN), lambda name, value: {"documents": [{**_TEXT, "metadata": {name: value}}]}),
    },
    lambda told: [one["id"] for one in told.get("documents", told.get("items", ()))],
    ((("POST", _IN), lambda one: {"documents": [{**_TEXT, "id": one}]}),),
    odd=(
        (("POST", f"{_IN}/delete"), {"ids": ["a"] * 1_001}),
        (("POST", f"{_IN}/delete"), {"ids": ["a"], "filter": {}}),
        (("POST", f"{_IN}/get"), {"ids": {"$ne": 1}}),
        (("POST", f"{_IN}/get"), {"ids": ["a"], "fields": ["ssn"]}),
        (("POST", _IN), {"documents": [_TEXT] * 1_001}),
    ),
    deletes=frozenset({("POST", f"{_IN}/delete"), ("POST", f"/v1{_IN}/delete")}),
)

# -- the Mixpeek API


_OF = "/v1/collections/notes/documents"
_DATA = {"update_data": {"text": "n"}}


def _condition(name: str, operator: str, value: Any) -> Body:
    return {"field": name, "operator": operator, "value": value}


def _deep(levels: int) -> Body:
    found: Body = {"title": "n"}
    for _ in range(levels):
        found = {"AND": [found]}
    return found


def _shown_by_mixpeek(told: Any) -> list[str]:
    found = told.get("documents", told.get("results", [told]))
    return [one["document_id"] for one in found if "collection_id" in one]


_MIXPEEK = Words(
    frozenset({"success", "status", "error"}),
    {
        ("POST", "/v1/documents/batch-get"): {"document_ids": ["a"]},
        ("DELETE", f"{_OF}/batch"): {"document_ids": ["a"]},
        ("POST", f"{_OF}/batch"): {"updates": [{"document_id": "a", **_DATA}]},
        ("PUT", f"{_OF}/batch"): {"updates": [{"document_id": "a", **_DATA}]},
        ("PATCH", f"{_OF}/bulk"): {"filters": {"document_id": "a"}, **_DATA},
        ("POST", f"{_OF}/list"): {"filters": {"title": "n"}},
        ("POST", _OF): {"title": "n"},
        ("PATCH", f"{_OF}/a"): {"text": "n"},
        ("PUT", f"{_OF}/a"): {"text": "n"},
    },
    {
        "get": (("GET", f"{_OF}/ID"), lambda one: None),
        "delete": (("DELETE", f"{_OF}/ID"), lambda one: None),
        "patch": (("PATCH", f"{_OF}/ID"), lambda one: {"text": "n"}),
        "put": (("PUT", f"{_OF}/ID"), lambda one: {"age": 5}),
        "batch get": (("POST", "/v1/documents/batch-get"), lambda one: {"document_ids": [one]}),
        "batch delete": (("DELETE", f"{_OF}/batch"), lambda one: {"document_ids": [one]}),
        "delete by filter": (("DELETE", f"{_OF}/batch"), lambda one: {"filters": {"document_id": one}}),
        "batch update": (("POST", f"{_OF}/batch"), lambda one: {"updates": [{"document_id": one, **_DATA}]}),
        "update by filter": (("PUT", f"{_OF}/batch"), lambda one: {"filters": _condition("document_id", "in", [one]), **_DATA}),
        "bulk": (("PATCH", f"{_OF}/bulk"), lambda one: {"filters": {"must": [{"key": "document_id", "value": one}]}, **_DATA}),
        "list": (("POST", f"{_OF}/list"), lambda one: {"filters": {"document_id": one}, "include_total": True}),
    },
    {
        "create": (("POST", _OF), lambda name, value: {"title": "n", name: value}),
        "patch": (("PATCH", f"{_OF}/a"), lambda name, value: {name: value}),
        "put": (("PUT", f"{_OF}/a"), lambda name, value: {name: value}),
        "batch": (("POST", f"{_OF}/batch"), lambda name, value: {"updates": [{"document_id": "a", "update_data": {name: value}}]}),
        "filter": (("PUT", f"{_OF}/batch"), lambda name, value: {"filters": {"document_id": "a"}, "update_data": {name: value}}),
        "bulk": (("PATCH", f"{_OF}/bulk"), lambda name, value: {"filters": {"document_id": "a"}, "update_data": {name: value}}),
    },
    _shown_by_mixpeek,
    ((("POST", _OF), lambda one: {"document_id": one, "title": "n"}),),
    filters={
        ("POST", f"{_OF}/list"): lambda asked: {"filters": asked},
        ("DELETE", f"{_OF}/batch"): lambda asked: {"filters": asked},
        ("POST", f"{_OF}/batch"): lambda asked: {"filters": asked, **_DATA},
        ("PATCH", f"{_OF}/bulk"): lambda asked: {"filters": asked, **_DATA},
    },
    everything=(
        {},
        {"field": "document_id", "operator": "exists"},
        {"NOT": [{"status": "nothing"}]},
        {"OR": [_condition("tenant_id", "eq", "evil"), _condition("tenant_id", "ne", "x")]},
        {"should": [{"key": "owner_id", "value": "bob"}, {"key": "document_id", "operator": "exists"}]},
        _condition("document_id", "nin", ["x"]),
        _condition("title", "contains", ""),
        _condition("title", "regex", ""),
    ),
    hostile=(
        *({operator: "1"} for operator in OPERATORS),
        *({"field": operator, "operator": "eq", "value": 1} for operator in OPERATORS),
        *(_condition("title", operator, "n") for operator in OPERATORS),
        *({"AND": [{"NOT": [{operator: {"a": 1}}]}]} for operator in OPERATORS),
        *({"title": {operator: 1}} for operator in OPERATORS),
        {"AND": {}}, {"AND": []}, {"OR": [{}]}, {"field": 5}, {"field": "title"}, {"key": "title", "operator": None}, {"title": {"a": 1}}, [], "x", 5,
    ),
    larger=(
        _deep(12), {"OR": [{"age": n} for n in range(300)]}, _condition("age", "in", [*range(10_001)]), {f"pay.x{n}": 1 for n in range(300)},
        _condition("title", "regex", "x" * 1_001),
    ),
    patterns=lambda text: _condition("title", "regex", text),
    named={
        "list filter": (("POST", f"{_OF}/list"), lambda name: {"filters": {"OR": [_condition(name, "gt", 1)]}}),
        "list sort": (("POST", f"{_OF}/list"), lambda name: {"sort": {"field": name, "direction": "desc"}}),
        "list select": (("POST", f"{_OF}/list"), lambda name: {"select": [name]}),
        "delete": (("DELETE", f"{_OF}/batch"), lambda name: {"filters": {"must_not": [{"key": name, "value": 1}]}}),
        "update": (("POST", f"{_OF}/batch"), lambda name: {"filters": {name: 1}, **_DATA}),
        "bulk": (("PATCH", f"{_OF}/bulk"), lambda name: {"filters": {"field": name, "operator": "exists"}, **_DATA}),
    },
    odd=(
        (("POST", f"{_OF}/list"), {"select": {"z": "$ssn"}}),
        (("POST", f"{_OF}/list"), {"sort": {"field": "age", "direction": 2}}),
        (("POST", f"{_OF}/list"), {"group_by": "ssn"}),
        (("POST", f"{_OF}/list"), {"limit": 10**6}),
        (("POST", f"{_OF}/list"), {"offset": 10**9}),
        (("DELETE", f"{_OF}/batch"), {"document_ids": ["a"], "filters": {}}),
        (("DELETE", f"{_OF}/batch"), {"document_ids": ["a"] * 1_001}),
        (("DELETE", f"{_OF}/batch"), {"filters": {}}),
        (("PATCH", f"{_OF}/bulk"), _DATA),
        (("POST", "/v1/documents/batch-get"), {"document_ids": {"$ne": 1}}),
    ),
    deletes=frozenset({("DELETE", f"{_OF}/batch"), ("DELETE", f"{_OF}/ID")}),
    undone=lambda told: told.get("failed_count", 0) > 0 and not told.get("updated_count"),
)  # fmt: skip

WORDS: Mapping[str, Words] = {"atlas_data_api": _ATLAS, "moorcheh": _MOORCHEH, "mixpeek": _MIXPEEK}
