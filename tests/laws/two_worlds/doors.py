"""Requests of other APIs' callers: what our own routes are asked, in the words of a door.

Of the Moorcheh door the collection `teams` is one of vectors, for its field `near`; the others are of texts.
"""

from random import Random
from typing import Any

from permission_mongo.api.doors import DOORS
from tests.laws.two_worlds import requests
from tests.laws.two_worlds.contents import VISIBLE_IDS
from tests.laws.two_worlds.requests import Generator, Route
from tests.laws.two_worlds.values import (
    Known,
    a_document,
    a_field,
    a_filter,
    a_path_id,
    a_value,
    an_id,
    an_update,
    collection,
    some_headers,
    some_ids,
)
from tests.laws.two_worlds.worlds import Asked

_KEYS = frozenset({"_id", "badge"})
# What stands behind a prefix as well is one route here, asked in both ways.
_PREFIX = "/v1"
ROUTES: frozenset[Route] = frozenset(
    (method, path)
    for name, door in DOORS.items()
    for method, path, _ in door.routes
    if name != "moorcheh" or not path.startswith(_PREFIX)
)


def _asked(rnd: Random, known: Known, route: Route, name: str, body: dict, *headers: str) -> Asked:
    place = {"dataSource": "c", "database": "default", "collection": name}
    if rnd.random() < 0.04:
        place |= rnd.choice(({"database": "other"}, {"collection": "absent"}, {"limits": 1}))
    sent = some_headers(rnd, known, *headers) if headers else ()
    accept = (("accept", "application/ejson"),) if rnd.random() < 0.3 else ()
    return Asked(route, route[1].replace("{app}", "any"), (), place | body, (*accept, *sent))


def _find(rnd: Random, known: Known, route: Route) -> Asked:
    name = collection(rnd)

    def path() -> str:
        return a_field(rnd, known.role, name)

    body: dict = {"filter": a_filter(rnd, known.role, name)} if rnd.random() < 0.6 else {}
    if rnd.random() < 0.5:
        body["projection"] = dict.fromkeys((path() for _ in range(rnd.randrange(1, 3))), rnd.choice((0, 1)))
        body["projection"] |= rnd.choice(({}, {}, {"_id": 0}))
    if route[1].endswith("/find"):
        body |= {"sort": {path(): rnd.choice((1, -1))}} if rnd.random() < 0.3 else {}
        body |= {key: rnd.randrange(4) for key in ("limit", "skip") if rnd.random() < 0.3}
    return _asked(rnd, known, route, name, body)


def _insert(rnd: Random, known: Known, route: Route) -> Asked:
    name = collection(rnd)
    documents = [a_document(rnd, known, name) for _ in range(rnd.randrange(1, 3))]
    body = {"document": documents[0]} if route[1].endswith("One") else {"documents": documents}
    return _asked(rnd, known, route, name, body, "idempotency-key")


def _change(rnd: Random, known: Known, route: Route) -> Asked:
    name = collection(rnd)
    body: dict = {"filter": a_filter(rnd, known.role, name)}
    if "/replace" in route[1]:
        body["replacement"] = a_document(rnd, known, name, with_id=rnd.random() < 0.1)
    elif "/update" in route[1]:
        update = an_update(rnd, known, name)
        body["update"] = update if next(iter(update)).startswith("$") or rnd.random() < 0.1 else {"$set": update}
    if "/delete" not in route[1] and rnd.random() < 0.4:
        body = _upserting(rnd, known, name, body)
    return _asked(rnd, known, route, name, body, "idempotency-key", "x-change-reason")


def _upserting(rnd: Random, known: Known, name: str, body: dict) -> dict:
    """Never with a key that is hidden: what a 409 tells of those is the one exception, pinned elsewhere."""
    body = {**body, "filter": _of_free_keys(known, body["filter"]), "upsert": True}
    if rnd.random() < 0.2:
        body["filter"] = {"level": rnd.randrange(12), "name": rnd.choice(("ann", "ben", "new"))}
    elif rnd.random() < 0.5:
        body["filter"] = {"_id": known.new_name() if rnd.random() < 0.7 else str(VISIBLE_IDS[name][0])}
    if "update" in body and rnd.random() < 0.7:
        more = {"$setOnInsert": a_document(rnd, known, name, with_id="_id" not in body["filter"])}
        body["update"] = more if rnd.random() < 0.6 else {**body["update"], **more}
    return body


def _of_free_keys(known: Known, asked: Any) -> Any:
    """The same filter, asking for ids and unique values that nobody has."""
    if isinstance(asked, list):
        return [_of_free_keys(known, one) for one in asked]
    if not isinstance(asked, dict):
        return asked
    return {key: known.new_name() if key in _KEYS else _of_free_keys(known, one) for key, one in asked.items()}


def _aggregate(rnd: Random, known: Known, route: Route) -> Asked:
    ours = requests.GENERATORS["POST", "/{collection}/aggregate"](rnd, known, route)
    assert isinstance(ours.body, dict)
    return _asked(rnd, known, route, ours.path.split("/")[1], ours.body)


# -- Moorcheh


def _at(rnd: Random, route: Route, name: str) -> str:
    return rnd.choice(("", _PREFIX)) + route[1].replace("{collection}", name)


def _of_kind(rnd: Random, route: Route) -> str:
    """A collection, mostly of the kind that the route is for; now and then none."""
    if rnd.random() < 0.05:
        return "absent"
    return "teams" if ("/vectors" in route[1]) != (rnd.random() < 0.1) else rnd.choice(("staff", "staff", "notes"))


def _named(rnd: Random, known: Known, route: Route) -> Asked:
    name = _of_kind(rnd, route)
    body = {"ids": some_ids(rnd, known, "staff" if name == "absent" else name)}
    body |= {"all": True} if rnd.random() < 0.05 else {}
    headers = some_headers(rnd, known, "idempotency-key", "x-change-reason") if "/delete" in route[1] else ()
    return Asked(route, _at(rnd, route, name), (), body, headers)


def _upload(rnd: Random, known: Known, route: Route) -> Asked:
    name = _of_kind(rnd, route)
    items = []
    for _ in range(rnd.randrange(1, 4)):
        place = "staff" if name == "absent" else name
        document = a_document(rnd, known, place)
        # None of a hidden document: that a key is taken is told, here as by our own routes.
        taken = str(rnd.choice(VISIBLE_IDS[place]))
        one = {"id": document.pop("_id", taken if rnd.random() < 0.2 else known.new_name())}
        beside = one if rnd.random() < 0.5 else one.setdefault("metadata", {})
        beside |= document
        items.append(one | ({"vector": [1, 2] if rnd.random() < 0.9 else [1]} if "/vectors" in route[1] else {}))
    return Asked(route, _at(rnd, route, name), (), {route[1].rpartition("/")[2]: items})


def _texts(rnd: Random, known: Known, route: Route) -> Asked:
    """From the beginning, or on from a page that was told, mostly of this very list."""
    path = _at(rnd, route, _of_kind(rnd, route))
    params: list[tuple[str, object]] = [("limit", rnd.choice(("1", "2", "50", "0")))] if rnd.random() < 0.7 else []
    tokens = [token for at, _, token in known.cursors if at == path or rnd.random() < 0.1]
    params += [("next_token", tokens[-1])] if tokens and rnd.random() < 0.5 else []
    return Asked(route, path, tuple(params))


def _namespace(rnd: Random, known: Known, route: Route) -> Asked:
    body = {"namespace_name": rnd.choice(("staff", "teams", "crew", "absent")), "type": "text"}
    path = _at(rnd, route, rnd.choice(("staff", "absent")))
    return Asked(route, path, (), body if route[0] == "POST" else None)


def _moorcheh(path: str) -> Generator:
    if path.endswith(("/documents/delete", "/vectors/delete", "/documents/get")):
        return _named
    if path.endswith(("{collection}/documents", "{collection}/vectors")):
        return _upload
    return _texts if path.endswith("/fetch-text-data") else _namespace


# -- Mixpeek


_OPERATORS = (
    "eq",
    "ne",
    "gt",
    "lte",
    "contains",
    "starts_with",
    "ends_with",
    "text",
    "regex",
    "exists",
    "is_null",
    "in",
    "nin",
)


def _a_filter(rnd: Random, role: str, name: str, depth: int = 0) -> dict:
    chance = rnd.random()
    if depth < 2 and chance < 0.3:
        branches = [_a_filter(rnd, role, name, depth + 1) for _ in range(rnd.randrange(1, 3))]
        return {rnd.choice(("AND", "OR", "NOT", "must", "should", "must_not")): branches}
    if chance < 0.33:
        return rnd.choice(({}, {"$where": "1"}, {"field": "name", "operator": "near", "value": 1}, {"AND": [None]}))
    path = rnd.choice((a_field(rnd, role, name), "document_id"))
    value, exact = a_value(rnd, "_id" if path == "document_id" else path), {"case_sensitive": True}
    if chance < 0.5:
        return {path: value} | (exact if rnd.random() < 0.2 else {})
    operator = rnd.choice(_OPERATORS)
    if operator in ("in", "nin"):
        value = [value, a_value(rnd, path)]
    elif operator in ("exists", "is_null"):
        value = rnd.random() < 0.5
    elif operator not in ("eq", "ne", "gt", "lte"):
        value = str(value).upper() if rnd.random() < 0.9 else value
    return {rnd.choice(("field", "key")): path, "operator": operator, "value": value}


def _in_collection(rnd: Random, known: Known, route: Route, name: str, body: dict | None, *headers: str) -> Asked:
    at = route[1].replace("{collection}", name if rnd.random() < 0.96 else "absent")
    sent = some_headers(rnd, known, *headers) if headers else ()
    params = (("namespace", rnd.choice(("default", "other"))),) if rnd.random() < 0.05 else ()
    return Asked(route, at.replace("{id}", a_path_id(rnd, known, name)), params, body, sent)


def _data(rnd: Random, known: Known, name: str) -> dict:
    """Fields to set, by their paths."""
    found = {
        path: a_value(rnd, path) for path in {a_field(rnd, known.role, name) for _ in range(rnd.choice((1, 1, 2)))}
    }
    if "badge" in found:
        found["badge"] = f"b-{known.new_name()}"
    return found | ({"document_id": an_id(rnd, known, name)} if rnd.random() < 0.05 else {})


def _of_many(rnd: Random, known: Known, route: Route) -> Asked:
    name, by_ids = collection(rnd), rnd.random() < 0.5
    if route[0] == "DELETE":
        body: dict = (
            {"document_ids": some_ids(rnd, known, name)} if by_ids else {"filters": _a_filter(rnd, known.role, name)}
        )
    elif by_ids and route[1].endswith("/batch"):
        ids = dict.fromkeys(one for one in some_ids(rnd, known, name) if isinstance(one, str))
        body = {"updates": [{"document_id": one, "update_data": _data(rnd, known, name)} for one in ids]}
    else:
        body = {"filters": _a_filter(rnd, known.role, name), "update_data": _data(rnd, known, name)}
    body |= {"all": True} if rnd.random() < 0.1 else {}
    return _in_collection(rnd, known, route, name, body, "idempotency-key", "x-change-reason")


def _of_one(rnd: Random, known: Known, route: Route) -> Asked:
    name = collection(rnd)
    if route[0] == "POST":
        body = a_document(rnd, known, name)
        body |= {"document_id": body.pop("_id")} if "_id" in body else {}
        return _in_collection(rnd, known, route, name, body, "idempotency-key")
    changes = _data(rnd, known, name) if route[0] in ("PATCH", "PUT") else None
    header = "if-none-match" if route[0] == "GET" else "if-match"
    return _in_collection(rnd, known, route, name, changes, header)


def _list_of(rnd: Random, known: Known, route: Route) -> Asked:
    name = collection(rnd)
    of_these = [one for one in known.cursors if one[0] == f"/v1/collections/{name}/documents/list"]
    if of_these and route[0] == "POST" and rnd.random() < 0.4:
        path, question, cursor = rnd.choice(of_these)
        return Asked(route, path, (), {**dict(question), "cursor": cursor})
    body: dict = {"limit": rnd.choice((1, 2, 3, 50, 0))} if rnd.random() < 0.7 else {}
    if route[0] == "GET":
        asked = _in_collection(rnd, known, route, name, None)
        return Asked(route, asked.path, (*asked.params, *body.items()))
    body |= {"filters": _a_filter(rnd, known.role, name)} if rnd.random() < 0.5 else {}
    if rnd.random() < 0.3:
        body["sort"] = {"field": a_field(rnd, known.role, name), "direction": rnd.choice(("asc", "desc"))}
    body |= {"select": [a_field(rnd, known.role, name)]} if rnd.random() < 0.2 else {}
    body |= {"include_total": True} if rnd.random() < 0.2 else {}
    return _in_collection(rnd, known, route, name, body)


def _from_all(rnd: Random, known: Known, route: Route) -> Asked:
    ids = [one for _ in range(2) for one in some_ids(rnd, known, collection(rnd), 4)]
    return Asked(route, route[1], (), {"document_ids": ids, "return_presigned_urls": rnd.random() < 0.5})


def _mixpeek(method: str, path: str) -> Generator:
    if path.endswith(("/batch", "/bulk")):
        return _of_many
    if path.endswith("/batch-get"):
        return _from_all
    return _list_of if path.endswith("/list") or (method == "GET" and path.endswith("/documents")) else _of_one


# Refused whoever asks: there is nothing of the kind.
REFUSED: frozenset[Route] = frozenset(
    (method, path)
    for method, path, endpoint in DOORS["moorcheh"].routes
    if (method, path) in ROUTES
    and endpoint.__name__ in ("create_namespace", "delete_namespace", "search", "answer", "file")
)
_KINDS: dict[str, Generator] = {
    "find": _find, "insert": _insert, "update": _change, "replace": _change, "delete": _change, "aggregate": _aggregate,
}  # fmt: skip
GENERATORS: dict[Route, Generator] = {
    route: one for route in sorted(ROUTES) for kind, one in _KINDS.items() if f"/action/{kind}" in route[1]
} | {(method, path): _moorcheh(path) for method, path, _ in DOORS["moorcheh"].routes if (method, path) in ROUTES}
GENERATORS |= {(method, path): _mixpeek(method, path) for method, path, _ in DOORS["mixpeek"].routes}
