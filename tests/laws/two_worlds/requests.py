"""One generator a route: a table that a test holds against the table of the app."""

import json
from collections.abc import Callable
from random import Random

from tests.laws.two_worlds.contents import JOBS, MOVED_IDS
from tests.laws.two_worlds.rules import TENANT
from tests.laws.two_worlds.values import (
    Known,
    a_batch,
    a_document,
    a_field,
    a_filter,
    a_moment,
    a_path_id,
    an_id,
    an_update,
    collection,
    list_params,
    options,
    some_headers,
    some_ids,
)
from tests.laws.two_worlds.worlds import KEEPER, Asked

Route = tuple[str, str]
Generator = Callable[[Random, Known, Route], Asked]
_AUDIT = "/_pm/audit"
_WRITE = ("x-change-reason", "if-match", "idempotency-key")


def _plain(rnd: Random, known: Known, route: Route) -> Asked:
    return Asked(route, route[1])


def _list(rnd: Random, known: Known, route: Route) -> Asked:
    """A first page, or the next of one that was answered, with its own question or another."""
    if known.cursors and rnd.random() < 0.3:
        path, params, cursor = rnd.choice(known.cursors)
        if (
            path != _AUDIT
            and "/collections/" not in path
            and path.endswith("/deleted") == route[1].endswith("/deleted")
        ):
            return Asked(route, path, (*(one for one in params if one[0] != "_cursor"), ("_cursor", cursor)))
    name = collection(rnd)
    if route[1].endswith("/deleted"):
        params = [("_limit", rnd.choice(("1", "2", "9")))] if rnd.random() < 0.7 else []
        if rnd.random() < 0.1:
            params.append((rnd.choice(("_filter", "salary", "_sort")), "{}"))
        return Asked(route, f"/{name}/deleted", tuple(params))
    name = "absent" if rnd.random() < 0.03 else name
    return Asked(route, f"/{name}", tuple(list_params(rnd, known, name)) if name != "absent" else ())


def _one(rnd: Random, known: Known, route: Route) -> Asked:
    name = collection(rnd)
    params: list[tuple[str, object]] = []
    if rnd.random() < 0.08:
        params = [("_fields", a_field(rnd, known.role, name))]
    if rnd.random() < 0.25:
        params.append(("_as_of", a_moment(rnd)))
    return Asked(
        route, f"/{name}/{a_path_id(rnd, known, name)}", tuple(params), None, some_headers(rnd, known, "if-none-match")
    )


def _versions(rnd: Random, known: Known, route: Route) -> Asked:
    name = "staff" if rnd.random() < 0.9 else "notes"
    params: list[tuple[str, object]] = []
    if rnd.random() < 0.4:
        params.append((rnd.choice(("_limit", "_before")), rnd.choice(("1", "2", "3", "0"))))
    one = (
        rnd.choice(("s00", "s01", "s02", "d0", "d2", *MOVED_IDS)) if rnd.random() < 0.4 else a_path_id(rnd, known, name)
    )
    return Asked(route, f"/{name}/{one}/versions", tuple(params))


def _old(rnd: Random, known: Known, route: Route) -> Asked:
    """One old state, a difference, or a restore: by number."""
    chance = rnd.random()
    one = rnd.choice(("s00", "s01", "s02")) if chance < 0.4 else rnd.choice(("d0", "d2", *MOVED_IDS))
    one = a_path_id(rnd, known, "staff") if chance > 0.7 else one
    path = route[1].replace("{collection}", "staff").replace("{id}", one)
    while "{" in path:
        start, end = path.index("{"), path.index("}")
        path = path[:start] + rnd.choice("0122333345x") + path[end + 1 :]
    if route[0] == "POST":
        return Asked(route, path, (), {}, some_headers(rnd, known, *_WRITE))
    return Asked(route, path, ())


def _create(rnd: Random, known: Known, route: Route) -> Asked:
    name = collection(rnd)
    body = a_document(rnd, known, name) if rnd.random() < 0.95 else rnd.choice((b"", b"[1]", b'{"a":1,"a":2}', b"\xff"))
    return Asked(route, f"/{name}", (), body, some_headers(rnd, known, *_WRITE))


def _create_many(rnd: Random, known: Known, route: Route) -> Asked:
    name = collection(rnd)
    documents = [a_document(rnd, known, name) for _ in range(rnd.randrange(1, 4))]
    return Asked(
        route, f"/{name}/batch", (), {"documents": documents, **options(rnd)}, some_headers(rnd, known, *_WRITE)
    )


def _get_many(rnd: Random, known: Known, route: Route) -> Asked:
    name = collection(rnd)
    body: dict = {"ids": some_ids(rnd, known, name, 9)}
    if rnd.random() < 0.4:
        body["fields"] = [a_field(rnd, known.role, name) for _ in range(rnd.randrange(1, 3))]
    return Asked(route, f"/{name}/batch/get", (), body)


def _delete_many(rnd: Random, known: Known, route: Route) -> Asked:
    name = collection(rnd)
    body: dict = {"ids": some_ids(rnd, known, name)} | options(rnd)
    if rnd.random() < 0.45:
        body = {"filter": a_filter(rnd, known.role, name)} | options(rnd)
    elif rnd.random() < 0.1:
        # More than one chunk: a job, unless every item is to be told.
        body = {"filter": {}, "all": True, "dry_run": rnd.random() < 0.6, "results": rnd.random() < 0.3}
    elif rnd.random() < 0.3:
        body = {"items": [_tagged(rnd, known, {"id": one}) for one in some_ids(rnd, known, name)]} | options(rnd)
    return Asked(route, route[1].replace("{collection}", name), (), body, some_headers(rnd, known, *_WRITE))


def _tagged(rnd: Random, known: Known, item: dict) -> dict:
    """At times with what the document must be: a tag that was told, any, or none that fits."""
    if rnd.random() < 0.6:
        return item
    return item | {"if_match": rnd.choice([*known.etags[-4:], "*", '"none"'])}


def _update_many(rnd: Random, known: Known, route: Route) -> Asked:
    name = collection(rnd)
    chosen: dict = {"ids": some_ids(rnd, known, name)}
    if rnd.random() < 0.4:
        chosen = {"filter": a_filter(rnd, known.role, name)}
    elif rnd.random() < 0.5:
        each = [
            _tagged(rnd, known, {"id": one, "update": an_update(rnd, known, name)})
            for one in some_ids(rnd, known, name)
        ]
        chosen = {"updates": each}
    body = chosen if "updates" in chosen else {**chosen, "update": an_update(rnd, known, name)}
    return Asked(route, f"/{name}/batch", (), {**body, **options(rnd)}, some_headers(rnd, known, *_WRITE))


def _jobs(rnd: Random, known: Known, route: Route) -> Asked:
    params = (("_limit", rnd.choice(("1", "2", "100", "0", "x"))),) if rnd.random() < 0.3 else ()
    return Asked(route, route[1], params)


def _job(rnd: Random, known: Known, route: Route) -> Asked:
    """One's own, one that is a batch and no job, or another's."""
    job = rnd.choice((*JOBS, *known.jobs)) if rnd.random() < 0.8 else a_batch(rnd, known)
    return Asked(route, route[1].replace("{job}", job))


def _sync(rnd: Random, known: Known, route: Route) -> Asked:
    """By the caller, or by one with the right to."""
    bodies = (None, {}, {"tenant_id": TENANT}, {"tenant_id": "evil"}, {"user_collection": "staff"}, {"x": 1})
    headers = (("authorization", KEEPER),) if rnd.random() < 0.6 else ()
    return Asked(route, route[1], (), rnd.choice(bodies), headers)


def _audit(rnd: Random, known: Known, route: Route) -> Asked:
    """Who did what: a first page, or the next of one that was answered."""
    of_audit = [one for one in known.cursors if one[0] == _AUDIT]
    if of_audit and rnd.random() < 0.4:
        _, params, cursor = rnd.choice(of_audit)
        return Asked(route, _AUDIT, (*(one for one in params if one[0] != "_cursor"), ("_cursor", cursor)))
    params: list[tuple[str, object]] = [("_limit", rnd.choice(("1", "3", "9", "0")))]
    chances: tuple[tuple[str, tuple[str, ...]], ...] = (
        ("subject", ("alice", "bob", "eve")),
        ("action", ("read", "update", "delete", "create")),
        ("kind", ("write", "refusal", "read", "none")),
        ("collection", ("staff", "notes")),
        ("_from", ("2020-01-01", "x")),
        ("batch", tuple(known.batches[-2:]) or ("none",)),
        ("id", ("s00", "s01")),
    )
    params += [(name, rnd.choice(values)) for name, values in chances if rnd.random() < 0.15]
    return Asked(route, _AUDIT, tuple(params))


def _undo(rnd: Random, known: Known, route: Route) -> Asked:
    name = "staff" if rnd.random() < 0.93 else "notes"
    body = options(rnd) if rnd.random() < 0.8 else None
    return Asked(route, f"/{name}/batch/{a_batch(rnd, known)}/undo", (), body)


def _change(rnd: Random, known: Known, route: Route) -> Asked:
    name = collection(rnd)
    params = (("_replace", "true"),) if route[0] == "PUT" and rnd.random() < 0.3 else ()
    body = a_document(rnd, known, name, with_id=False) if params else an_update(rnd, known, name)
    headers = some_headers(rnd, known, *_WRITE)
    return Asked(route, f"/{name}/{a_path_id(rnd, known, name)}", params, body, headers)


def _blob(rnd: Random, known: Known, route: Route) -> Asked:
    """Bytes of any document: seen, hidden or absent; of a blob, a field that is none, and one that there is not."""
    if route[1].startswith("/_pm"):
        return Asked(route, route[1].replace("{token}", rnd.choice(("x", "AAAA", "~"))))
    name = rnd.choice(("photo", "photo", "photo", "photo", "salary", "note", "absent"))
    path = f"/staff/{a_path_id(rnd, known, 'staff')}/blobs/{name}"
    if route[0] == "PUT":
        return Asked(route, path, (), rnd.choice((b"one", b"two")), (("content-type", "text/plain"),))
    return Asked(route, path, (), None, some_headers(rnd, known, *_WRITE) if route[0] == "DELETE" else ())


def _delete(rnd: Random, known: Known, route: Route) -> Asked:
    name = collection(rnd)
    return Asked(route, f"/{name}/{a_path_id(rnd, known, name)}", (), None, some_headers(rnd, known, *_WRITE))


def _purge(rnd: Random, known: Known, route: Route) -> Asked:
    name = collection(rnd)
    body = {"reason": "asked for"} if rnd.random() < 0.9 else {}
    return Asked(route, f"/{name}/{an_id(rnd, known, name)}/purge", (), body)


def _query(rnd: Random, known: Known, route: Route) -> Asked:
    """The list's parameters in a body."""
    name = collection(rnd)
    if known.cursors and rnd.random() < 0.2:
        path, params, cursor = rnd.choice(known.cursors)
        if path.endswith("/query"):
            return Asked(route, path, (), {**dict(params), "cursor": cursor})
    body: dict = {"filter": a_filter(rnd, known.role, name)} if rnd.random() < 0.7 else {}
    if rnd.random() < 0.5:
        body["limit"] = rnd.choice((1, 2, 5, 0))
    if rnd.random() < 0.4:
        body["sort"] = rnd.choice(
            (a_field(rnd, known.role, name), [a_field(rnd, known.role, name)], "-" + a_field(rnd, known.role, name))
        )
    if rnd.random() < 0.2:
        body["fields"] = [a_field(rnd, known.role, name)]
    if rnd.random() < 0.3:
        body["count"] = True
    if rnd.random() < 0.1:
        body["skip"] = rnd.randrange(3)
    return Asked(route, f"/{name}/query", (), body)


def _count(rnd: Random, known: Known, route: Route) -> Asked:
    name = collection(rnd)
    return Asked(route, f"/{name}/count", (), {"filter": a_filter(rnd, known.role, name)} if rnd.random() < 0.8 else {})


def _settled(stages: list) -> list:
    """Without a choice among groups that a sort finds alike: the server draws their order anew for each request."""
    kinds = {kind for one in stages for kind in one}
    if "$sortByCount" in kinds or {"$group", "$sort"} <= kinds:
        return [one for one in stages if not one.keys() & {"$sort", "$limit"}]
    return stages


def _aggregate(rnd: Random, known: Known, route: Route) -> Asked:
    name = collection(rnd)

    def path() -> str:
        return a_field(rnd, known.role, name)

    stages: list = [
        {"$match": a_filter(rnd, known.role, name)},
        {"$project": {path(): rnd.choice((1, 0, f"${path()}"))}},
        {"$group": {"_id": f"${path()}", "n": {rnd.choice(("$sum", "$max", "$avg")): rnd.choice((1, f"${path()}"))}}},
        {"$sort": {path(): rnd.choice((1, -1))}},
        {"$limit": rnd.randrange(1, 5)},
        {"$unwind": f"${path()}"},
        {"$count": "n"},
        {"$sortByCount": f"${path()}"},
        {"$addFields": {"z": f"${path()}"}},
        {"$lookup": {"from": "staff", "localField": path(), "foreignField": path(), "as": "x"}},
        {"$facet": {"a": [{"$match": {path(): 1}}], "b": [{"$count": "n"}]}},
        {"$out": "x"},
    ]
    chosen = _settled(rnd.sample(stages, rnd.randrange(1, 4)))
    if rnd.random() < 0.5 or any("$sortByCount" in one for one in chosen):
        chosen.append({"$group": {"_id": None, "n": {"$sum": 1}}})
    return Asked(route, f"/{name}/aggregate", (), json.loads(json.dumps({"pipeline": chosen})))


def _explain(rnd: Random, known: Known, route: Route) -> Asked:
    """Of every action, mostly with an id: of rows seen and hidden, live and deleted."""
    name, chance = collection(rnd), rnd.random()
    actions = ("read", "read", "update", "delete", "delete", "restore", "aggregate", "purge", "create", "drop")
    body: dict = {"action": rnd.choice(actions), "collection": name}
    if chance < 0.75:
        body["id"] = an_id(rnd, known, name)
    elif chance < 0.9:
        body["filter"] = a_filter(rnd, known.role, name)
    if rnd.random() < 0.05:
        body |= rnd.choice(({"as": {"sub": "bob", "roles": ["boss"]}}, {"collection": "absent"}, {"ids": []}))
    return Asked(route, route[1], (), body)


def _policy(rnd: Random, known: Known, route: Route) -> Asked:
    body = rnd.choice(({"files": {"policy.yml": "roles: {}"}}, {"files": {}}, {}))
    if route[1].endswith("/diff") and rnd.random() < 0.5:
        body = {**body, "live": True}
    return Asked(route, route[1], (), body, (("if-match", '"x"'),) if route[0] == "PUT" else ())


GENERATORS: dict[Route, Generator] = {
    ("GET", "/health"): _plain,
    ("GET", "/ready"): _plain,
    ("GET", "/{collection}"): _list,
    ("GET", "/{collection}/deleted"): _list,
    ("GET", "/{collection}/{id}"): _one,
    ("GET", "/{collection}/{id}/versions"): _versions,
    ("GET", "/{collection}/{id}/versions/{version}"): _old,
    ("GET", "/{collection}/{id}/diff/{from}/{to}"): _old,
    ("POST", "/{collection}/{id}/restore/{version}"): _old,
    ("POST", "/{collection}"): _create,
    ("POST", "/{collection}/batch"): _create_many,
    ("POST", "/{collection}/batch/get"): _get_many,
    ("DELETE", "/{collection}/batch"): _delete_many,
    ("POST", "/{collection}/batch/delete"): _delete_many,
    ("PUT", "/{collection}/batch"): _update_many,
    ("POST", "/{collection}/batch/{batch}/undo"): _undo,
    ("PUT", "/{collection}/{id}"): _change,
    ("PATCH", "/{collection}/{id}"): _change,
    ("DELETE", "/{collection}/{id}"): _delete,
    ("POST", "/{collection}/{id}/purge"): _purge,
    ("GET", "/_pm/blobs/{token}"): _blob,
    ("PUT", "/{collection}/{id}/blobs/{field}"): _blob,
    ("GET", "/{collection}/{id}/blobs/{field}"): _blob,
    ("DELETE", "/{collection}/{id}/blobs/{field}"): _blob,
    ("POST", "/{collection}/query"): _query,
    ("POST", "/{collection}/count"): _count,
    ("POST", "/{collection}/aggregate"): _aggregate,
    ("GET", "/_pm/me"): _plain,
    ("GET", "/_pm/openapi.json"): _plain,
    ("GET", "/_pm/policy"): _plain,
    ("PUT", "/_pm/policy"): _policy,
    ("GET", "/_pm/policy/matrix"): _plain,
    ("POST", "/_pm/policy/check"): _policy,
    ("POST", "/_pm/policy/test"): _policy,
    ("POST", "/_pm/policy/diff"): _policy,
    ("POST", "/_pm/explain"): _explain,
    ("GET", "/_pm/jobs"): _jobs,
    ("GET", "/_pm/audit"): _audit,
    ("GET", "/_pm/jobs/{job}"): _job,
    ("POST", "/_pm/jobs/{job}/cancel"): _job,
    ("POST", "/_pm/hierarchy/sync"): _sync,
    ("POST", "/api/hierarchy/sync"): _sync,
}
# Left out: METRICS counts what every caller does, hidden rows among it. It is for operators, and public only by `metrics.public`.
