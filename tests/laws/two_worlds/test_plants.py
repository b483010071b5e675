"""Leaks planted on purpose, each of which the law must catch: a law that finds nothing shows nothing else."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from json import dumps

import pytest
from pymongo.asynchronous.collection import AsyncCollection

from permission_mongo.api import app
from permission_mongo.api.render import refuse
from permission_mongo.auditing import Readable
from permission_mongo.documents import reveal
from permission_mongo.documents.fields import FieldRules
from permission_mongo.errors import Forbidden
from permission_mongo.operations import ByFilter
from permission_mongo.planning import callers, deletes, explaining, history, make, reads, updates
from permission_mongo.planning import moments as past
from permission_mongo.planning.callers import Access
from permission_mongo.policy.grants import Lens, Reach
from permission_mongo.policy.guard import Guarded, GuardedStates
from permission_mongo.policy.nodes import ALWAYS
from permission_mongo.policy.telling import Telling
from permission_mongo.query import filters
from permission_mongo.storage import chunks, moments, sharing, store, works
from tests.laws.two_worlds import doors
from tests.laws.two_worlds.contents import DELETED_HIDDEN, MOVED_IDS, VISIBLE_IDS
from tests.laws.two_worlds.requests import GENERATORS, Route
from tests.laws.two_worlds.sequences import run_sequences
from tests.laws.two_worlds.values import FIELDS, a_moment
from tests.laws.two_worlds.worlds import Asked, Leak

pytestmark = pytest.mark.mongo
LIST, GET, GET_MANY = ("GET", "/{collection}"), ("GET", "/{collection}/{id}"), ("POST", "/{collection}/batch/get")
DELETE, UNDO = ("DELETE", "/{collection}/batch"), ("POST", "/{collection}/batch/{batch}/undo")
VERSIONS, GONE = ("GET", "/{collection}/{id}/versions"), ("GET", "/{collection}/deleted")
VERSION, DIFF = ("GET", "/{collection}/{id}/versions/{version}"), ("GET", "/{collection}/{id}/diff/{from}/{to}")
RESTORE = ("POST", "/{collection}/{id}/restore/{version}")
COUNT, QUERY = ("POST", "/{collection}/count"), ("POST", "/{collection}/query")
EXPLAIN = ("POST", "/_pm/explain")
AGGREGATE = ("POST", "/{collection}/aggregate")
AUDIT = ("GET", "/_pm/audit")
UPSERT = ("POST", "/app/{app}/endpoint/data/v1/action/updateOne")
NAMED = ("POST", "/namespaces/{collection}/documents/delete")


@dataclass(frozen=True)
class Plant:
    """What is broken, for whom it shows, and on which routes it is looked for."""

    break_it: Callable[[pytest.MonkeyPatch], None]
    role: str
    routes: tuple[Route, ...]


def patched(*places: tuple[object, str, object]) -> Callable[[pytest.MonkeyPatch], None]:
    def break_it(patch: pytest.MonkeyPatch) -> None:
        for holder, name, value in places:
            patch.setattr(holder, name, value)

    return break_it


def no_check_of_fields(access, collection, query, *more, **other):
    return access.reach


def all_rules_hold(reach, document):
    holding, hiding = HONEST_SPEAKING(reach, document)
    return tuple(True for _ in holding), hiding


def nothing_hides(reach, document):
    holding, hiding = HONEST_SPEAKING(reach, document)
    return holding, tuple(False for _ in hiding)


async def counts_all_rows(plan, rooms, *more):
    page = await HONEST_PAGE(plan, rooms, *more)
    stored = await rooms.live(plan.collection).count_documents({})
    return replace(page, has_more=stored > len(page.documents))


async def tells_forbidden_from_absent(endpoint, call):
    response = await HONEST_ANSWER(endpoint, call)
    if response.status_code == 404 and await stored(call) is not None:
        return refuse(Forbidden("not yours"))
    return response


async def stored(call) -> dict | None:
    """The document of the path, whatever anybody may see."""
    if set(call.request.path_params) != {"collection", "id"} or call.request.method != "GET":
        return None
    return await call.gateway.store._rooms.live(call.path("collection")).find_one({"_id": call.path("id")})


async def tells_which_ids_exist(plan, rooms, *more):
    gathered = await HONEST_GATHERING(plan, rooms, *more)
    rows = rooms.live(plan.collection).find({"_id": {"$in": list(gathered.not_found)}}, {"_id": 1})
    there = {row["_id"] async for row in rows}
    return replace(gathered, not_found=tuple(one for one in gathered.not_found if one not in there))


def unguarded(asked, *reaches, **more):
    return Guarded(asked)


def unguarded_states(asked, rows):
    return GuardedStates(Guarded(asked), Guarded(asked), ALWAYS)


def refuses_instead_of_missing(*arguments):
    return replace(HONEST_DELETE(*arguments), visible=Guarded({}))


def deletes_what_is_asked(operation, *more):
    plan = HONEST_DELETE(operation, *more)
    asked = operation.selection.query.match if isinstance(operation.selection, ByFilter) else {}
    return replace(plan, match=Guarded(asked), visible=Guarded({}))


def finds_what_is_asked(operation, reviser):
    return Guarded(operation.edits.selection.query.match)


async def counts_against_all(rooms, plan):
    await HONEST_LIMIT(rooms, replace(plan, match=Guarded({}), expected=None))


async def tags_what_is_stored(endpoint, call):
    response = await HONEST_ANSWER(endpoint, call)
    if response.status_code == 200 and (row := await stored(call)) is not None:
        response.headers["etag"] = sha256(repr(row).encode()).hexdigest()
    return response


async def shows_what_was_seen_then(walk, states):
    return states


async def counts_the_whole_collection(collection, *arguments, **more):
    return await HONEST_COUNT(collection, {})


HONEST_SPEAKING, HONEST_PAGE = Reach.speaks_for, sharing.list_page
HONEST_GATHERING, HONEST_DELETE, HONEST_ANSWER = store.get_many, make.plan_delete, app._answered
HONEST_LIMIT, HONEST_COUNT = chunks.require_at_most, AsyncCollection.count_documents


PLANTS = {
    "the audit names fields that its reader does not read": Plant(
        patched((Readable, "of", lambda readable, paths: list(paths))), "boss", (AUDIT,)
    ),
    "the audit names hidden containers": Plant(
        patched((FieldRules, "reads_raw", lambda rules, path: rules.covers(path))), "boss", (AUDIT,)
    ),
    "the audit of other tenants is told": Plant(
        patched((callers.Callers, "crosses_with_right", lambda callers, asking, right: True)), "boss", (AUDIT,)
    ),
    "a filter is not checked for hidden fields": Plant(
        patched((reads, "asked_reach", no_check_of_fields)), "viewer", (LIST,)
    ),
    "a batch delete's filter is not checked": Plant(
        patched((deletes, "asked_reach", no_check_of_fields)), "user", (DELETE,)
    ),
    "rows that hide the field take part": Plant(patched((Access, "lending", lambda access, paths: access.reach)), "manager", (LIST,)),
    "hidden shapes answer to null": Plant(
        patched((filters._Reader, "_of_values", lambda reader, operators, path, place: operators)), "viewer", (("GET", "nulls"),)
    ),
    "the tenant is dropped": Plant(patched((callers, "_within", lambda collection, bindings: ALWAYS)), "boss", (LIST, GET)),
    "the lens shows all": Plant(
        patched((Lens, "show", lambda lens, row: {name: value for name, value in row.items() if name != "_made"})), "user", (GET, LIST)
    ),
    "fields of other rows show": Plant(patched((Reach, "speaks_for", all_rules_hold)), "manager", (LIST,)),
    "a conditional denial hides nothing": Plant(patched((Reach, "speaks_for", nothing_hides)), "user", (LIST,)),
    "masks show what they mask": Plant(patched((reveal, "masked", lambda value, kind, key: value)), "viewer", (LIST,)),
    "has_more counts hidden rows": Plant(patched((sharing, "list_page", counts_all_rows)), "viewer", (LIST,)),
    "403 tells that a hidden document exists": Plant(patched((app, "_answered", tells_forbidden_from_absent)), "user", (GET,)),
    "batch get leaves out what exists": Plant(patched((store, "get_many", tells_which_ids_exist)), "manager", (GET_MANY,)),
    "undo works on what is hidden": Plant(
        patched((deletes, "narrow_content", unguarded), (deletes, "narrow_states", unguarded_states), (deletes, "narrow", unguarded)),
        "user", (UNDO,)
    ),
    "history shows hidden states": Plant(patched((history, "narrow_states", unguarded_states)), "user", (VERSIONS,)),
    "a version shows hidden states": Plant(patched((history, "narrow_states", unguarded_states)), "user", (VERSION,)),
    "a diff reads hidden states": Plant(patched((history, "narrow_states", unguarded_states)), "user", (DIFF,)),
    "a diff shows what one end hides": Plant(patched((Lens, "comparable", lambda lens, one, other: (dict(one), dict(other)))), "user", (DIFF,)),
    "a restore works on hidden states": Plant(patched((history, "narrow_states", unguarded_states)), "user", (RESTORE,)),
    "deleted documents of others are listed": Plant(patched((reads, "narrow_content", unguarded)), "manager", (GONE,)),
    "a hidden id is refused, an absent one missing": Plant(
        patched((make, "plan_delete", refuses_instead_of_missing)), "user", (DELETE,)
    ),
    "a delete takes hidden rows along": Plant(patched((make, "plan_delete", deletes_what_is_asked)), "boss", (DELETE,)),
    "max_affected counts hidden rows": Plant(
        patched((chunks, "require_at_most", counts_against_all), (works, "require_at_most", counts_against_all)), "user", (DELETE,)
    ),
    "an ETag is made of the stored document": Plant(patched((app, "_answered", tags_what_is_stored)), "viewer", (GET,)),
    "a sort is not checked for hidden fields": Plant(
        patched((reads, "asked_reach", no_check_of_fields)), "viewer", (("GET", "sorted"),)
    ),
    "_count counts hidden rows": Plant(
        patched((AsyncCollection, "count_documents", counts_the_whole_collection)),
        "viewer", (("GET", "counted"),),
    ),
    "count counts hidden rows": Plant(
        patched((AsyncCollection, "count_documents", counts_the_whole_collection)), "viewer", (COUNT,)
    ),
    "what a door's deletion leaves counts hidden rows": Plant(
        patched((AsyncCollection, "count_documents", counts_the_whole_collection)), "user", (NAMED,)
    ),
    "a door's list of collections counts hidden rows": Plant(
        patched((AsyncCollection, "count_documents", counts_the_whole_collection)), "viewer", (("GET", "/namespaces"),)
    ),
    "a door tells a hidden id as one that was not deleted": Plant(
        patched((make, "plan_delete", refuses_instead_of_missing)), "boss", (NAMED,)
    ),
    "old states show of what is hidden today": Plant(
        patched((moments._Walk, "_visible_today", shows_what_was_seen_then)), "manager", (("GET", "past"),)
    ),
    "hidden old states show": Plant(patched((past, "narrow_content", unguarded)), "viewer", (("GET", "past"),)),
    "a query is not checked for hidden fields": Plant(
        patched((reads, "asked_reach", no_check_of_fields)), "viewer", (QUERY,)
    ),
    "an upsert finds what is hidden": Plant(patched((updates, "_visible", finds_what_is_asked)), "user", (("POST", "upserted"),)),
    "an explanation answers clauses on hidden fields": Plant(
        patched((Telling, "tells", lambda telling, path: True)), "manager", (("GET", "explained"),)
    ),
    "an explanation looks at hidden rows": Plant(patched((explaining, "narrow", unguarded)), "user", (EXPLAIN,)),
    "an explanation looks at hidden deleted rows": Plant(
        patched((explaining, "narrow_content", unguarded)), "user", (("GET", "ended"),)
    ),
}  # fmt: skip

DROPPED = patched((callers, "_within", lambda collection, bindings: ALWAYS))
BARE = patched((Lens, "show", lambda lens, row: {name: value for name, value in row.items() if name != "_made"}))
COMING = [
    route
    for route in GENERATORS
    if "{collection}" in route[1] and route not in (LIST, GET, GET_MANY, DELETE, UNDO, VERSIONS, GONE)
]
COMING = [
    route
    for route in COMING
    if route[1] not in ("/{collection}", "/{collection}/batch/delete") and route != ("POST", "/{collection}/batch")
]
for one in COMING:
    PLANTS[f"the tenant is dropped at {' '.join(one)}"] = Plant(DROPPED, "boss", (one,))
for one in (
    QUERY,
    ("PUT", "/{collection}/{id}"),
    ("PATCH", "/{collection}/{id}"),
    ("GET", "/{collection}/{id}/versions/{version}"),
):
    PLANTS[f"the lens shows all at {' '.join(one)}"] = Plant(BARE, "user", (one,))


def _sorted(rnd, known, route):
    params = (("_sort", rnd.choice(("", "-")) + rnd.choice(FIELDS["staff"])), ("_limit", "3"))
    return Asked(("GET", "/{collection}"), "/staff", params)


def _counted(rnd, known, route):
    return Asked(("GET", "/{collection}"), "/" + rnd.choice(("staff", "notes", "teams")), (("_count", "true"),))


def _past(rnd, known, route):
    path = rnd.choice(("/staff", "/staff", f"/staff/{rnd.choice(('s00', 's01', 'd0', *MOVED_IDS))}"))
    params = (("_as_of", a_moment(rnd)), *([("_limit", "2")] if path == "/staff" else []))
    return Asked(("GET", "/{collection}" if path == "/staff" else "/{collection}/{id}"), path, params)


def _nulls(rnd, known, route):
    path = rnd.choice([one for one in FIELDS["staff"] if "." in one])
    condition = {path: rnd.choice((None, {"$ne": None}, {"$in": [None, 1]}))}
    return Asked(("GET", "/{collection}"), "/staff", (("_filter", dumps(condition)),))


def _explained(rnd, known, route):
    one = rnd.choice(VISIBLE_IDS["staff"])
    return Asked(EXPLAIN, EXPLAIN[1], (), {"action": "delete", "collection": "staff", "id": one})


def _ended(rnd, known, route):
    one = rnd.choice(DELETED_HIDDEN)
    return Asked(EXPLAIN, EXPLAIN[1], (), {"action": "restore", "collection": "staff", "id": one})


def _upserted(rnd, known, route):
    """What a visible row, a hidden one or none has."""
    asked = {"level": rnd.randrange(12), "grade": rnd.choice("xyz")}
    update = {"$setOnInsert": {"name": "new"}}
    place = {"dataSource": "c", "database": "default", "collection": "staff"}
    return Asked(
        UPSERT, UPSERT[1].replace("{app}", "any"), (), {**place, "filter": asked, "update": update, "upsert": True}
    )


PAST = ("GET", "past")
ALL = GENERATORS | doors.GENERATORS | {("GET", "explained"): _explained, ("GET", "ended"): _ended}
ALL |= {
    ("POST", "upserted"): _upserted,
    PAST: _past,
    ("GET", "nulls"): _nulls,
    ("GET", "sorted"): _sorted,
    ("GET", "counted"): _counted,
}


def forget(pair) -> None:
    """What planning remembers of a caller was made before the plant, or by it."""
    for world in pair.worlds:
        world.gateway.planner.callers._standing.cache_clear()


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_leak_is_caught(pair, run, monkeypatch, name):
    plant = PLANTS[name]
    plant.break_it(monkeypatch)
    forget(pair)
    try:
        only = {route: ALL[route] for route in plant.routes}
        with pytest.raises(Leak) as caught:
            run_sequences(pair, plant.role, run, Counter(), sequences=30, requests=30, only=only)
    finally:
        monkeypatch.undo()
        forget(pair)
    lines = str(caught.value).splitlines()
    shown = lines[lines.index("was answered") - 1] if "was answered" in lines else lines[-1]
    print(f"\n{name}: {shown[:150]}")
