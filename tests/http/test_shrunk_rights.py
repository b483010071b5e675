"""What a caller whose rights shrank sees of old states: a table of cases by the routes that could show one.

A route is one line of ROUTES, a case one of CASES. Each case says which states are seen, as http-api.md (Versions) has
it, and each route is asked for all of them.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import permutations

import pytest

from tests.http.harness import CONFIG, SCHEMA, World, a_config, a_kept_world, a_token
from tests.http.moments import Timed, a_timed_world

pytestmark = pytest.mark.mongo
POLICY = """
roles: {root: {cross_tenant: true}, owner: {}, open: {}, cut: {}, masked: {}, barred: {}, hiding: {}, reader: {}, checked: {}, lost: {}}
policies:
  notes:
    root: {actions: ["*"]}
    owner: {actions: [read, restore], when: "resource.owner_id == user.id"}
    open: {actions: [read, restore], when: "resource.status == 'open'"}
    cut: {actions: [read, restore], when: "resource.owner_id == user.id", fields: {deny: [age]}}
    masked: {actions: [read, restore], when: "resource.owner_id == user.id", fields: {mask: {ssn: last4}}}
    barred:
      - {actions: [read, restore], when: "resource.owner_id == user.id"}
      - {effect: deny, actions: [read], when: "resource.title == 'secret'"}
    hiding:
      - {actions: [read, restore], when: "resource.owner_id == user.id"}
      - {effect: deny, actions: [read], when: "resource.title == 'secret'", fields: [age]}
    reader: {actions: [read], when: "resource.owner_id == user.id"}
    checked:
      - {actions: [read]}
      - {actions: [restore], when: "resource.owner_id == user.id", check: "resource.status == 'open'"}
    lost: {actions: [create]}
"""
ROOT = a_token("root", ["root"], None)
MINE = {"tenant_id": "acme", "owner_id": "alice", "status": "open", "title": "t", "age": 1, "ssn": "123456789"}
NO_DOCUMENT, NO_VERSION, NOT_ALLOWED = (404, "document_not_found"), (404, "version_not_found"), (403, "forbidden")


@dataclass(frozen=True)
class Case:
    """The states of one document, oldest first, each as it differs from MINE. The last lives, or was `deleted`.

    `seen` are the numbers of the states that today's rules show; None: the document is absent to the caller.
    `shows` are fields of some of them (`...`: not there), `differ` the fields that the first and the last seen
    differ in, `restores` what is answered to a restore of a seen state, where it is not 200. `undone` and `listed` tell
    of the batch that deleted it, and of the list of deleted documents. `stays` are fields that a restore leaves.
    """

    name: str
    role: str
    states: tuple[dict, ...]
    seen: tuple[int, ...] | None
    deleted: bool = False
    shows: dict[int, dict] = field(default_factory=dict)
    differ: tuple[str, ...] = ()
    restores: dict[int, tuple[int, str]] = field(default_factory=dict)
    undone: str = "restored"
    listed: bool = True
    stays: tuple[str, ...] = ()
    tenant: str = "acme"

    @property
    def token(self) -> str:
        return a_token("alice", [self.role], self.tenant)

    def told(self, *numbers: int) -> tuple[int, str] | None:
        """The refusal of these states; None where all are seen."""
        if self.role == "lost":
            return NOT_ALLOWED
        if self.seen is None:
            return NO_DOCUMENT
        return None if set(numbers) <= set(self.seen) else NO_VERSION


def alive_and_deleted(
    name: str, role: str, states: tuple[dict, ...], seen: tuple[int, ...] | None, **more
) -> list[Case]:
    """A case twice: the last state lives, and it is the last content of a deleted document."""
    if seen is None:
        more = {"undone": "absent", "listed": False} | more
    return [Case(name, role, states, seen, False, **more), Case(f"{name}, deleted", role, states, seen, True, **more)]


BOBS, SHUT, EVIL, SECRET = {"owner_id": "bob"}, {"status": "closed"}, {"tenant_id": "evil"}, {"title": "secret"}
CASES = [
    *alive_and_deleted("nothing shrank", "owner", ({}, {"age": 2}), (1, 2), differ=("age",), shows={1: {"age": 1}, 2: {"age": 2}}),
    *alive_and_deleted("handed on to another owner", "owner", ({}, {"age": 2}, BOBS), None),
    *alive_and_deleted("taken over from another owner", "owner", (BOBS, BOBS, {}), (3,)),
    *alive_and_deleted("another's for a while", "owner", ({}, BOBS, {"age": 2}), (1, 3), differ=("age",)),
    *alive_and_deleted("closed since", "open", ({}, SHUT), None),
    *alive_and_deleted("opened since", "open", (SHUT, {}), (2,)),
    *alive_and_deleted("closed for a while", "open", ({}, SHUT, {"ssn": "1"}), (1, 3), differ=("ssn",)),
    *alive_and_deleted("moved to another tenant", "owner", ({}, EVIL), None),
    *alive_and_deleted("come from another tenant", "owner", (EVIL, {}), (2,)),
    *alive_and_deleted("seen from another tenant", "owner", ({}, {}), None, tenant="evil"),
    *alive_and_deleted("a field denied today", "cut", ({}, {"age": 2}), (1, 2), shows={1: {"age": ...}, 2: {"age": ...}}, stays=("age",)),
    *alive_and_deleted("a field masked today", "masked", ({}, {"ssn": "987654321"}), (1, 2), shows={1: {"ssn": "***6789"}}),
    *alive_and_deleted("a deny rule hides the old row", "barred", (SECRET, {}), (2,)),
    *alive_and_deleted("a deny rule hides the present row", "barred", ({}, SECRET), None),
    *alive_and_deleted(
        "a deny rule hides a field of the old state", "hiding", (SECRET, {"age": 2}), (1, 2), differ=("title",),
        shows={1: {"age": ...}, 2: {"age": 2}}, stays=("title", "age"),
    ),
    *alive_and_deleted(
        "a deny rule hides a field of the present state", "hiding", ({}, {"age": 2} | SECRET), (1, 2), differ=("title",),
        shows={1: {"age": 1}, 2: {"age": ...}}, stays=("title",),
    ),
    *alive_and_deleted(
        "a rule that restores no longer", "reader", ({}, {"age": 2}), (1, 2), differ=("age",),
        undone="forbidden", listed=False,
    ),
    *alive_and_deleted(
        "a check that the old state fails", "checked", (SHUT, {}), (1, 2), differ=("status",), restores={1: NOT_ALLOWED}
    ),
    *alive_and_deleted(
        "a check that the present state fails", "checked", ({}, SHUT), (1, 2), differ=("status",),
        restores={2: NOT_ALLOWED}, undone="failed",
    ),
    *alive_and_deleted(
        "read still, and another's now", "checked", ({}, BOBS), (1, 2), differ=("owner_id",),
        restores={1: NOT_ALLOWED, 2: NOT_ALLOWED}, undone="failed", listed=False,
    ),
    *alive_and_deleted("the role lost", "lost", ({}, {"age": 2}), None, undone="forbidden"),
]  # fmt: skip


def refusal(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def numbers(case: Case) -> range:
    """Those of all states, of the deletion, and one that never was."""
    return range(1, len(case.states) + 3)


# -- what each route must answer


async def versions(world: World, case: Case, batch: str) -> None:
    answer = await world.get("/notes/a/versions", token=case.token)
    if case.told() is not None:
        assert refusal(answer) == case.told()
        return
    deletion = [len(case.states) + 1] if case.deleted else []
    assert [one["version"] for one in answer.json()] == [*deletion, *reversed(case.seen or ())]


async def version(world: World, case: Case, batch: str) -> None:
    for number in numbers(case):
        answer = await world.get(f"/notes/a/versions/{number}", token=case.token)
        if case.told(number) is not None:
            assert refusal(answer) == case.told(number)
            continue
        shown = answer.json()["data"]
        assert shown["_version"] == number
        assert all(shown.get(name, ...) == value for name, value in case.shows.get(number, {}).items())


async def diff(world: World, case: Case, batch: str) -> None:
    for one, other in permutations(numbers(case), 2):
        answer = await world.get(f"/notes/a/diff/{one}/{other}", token=case.token)
        if case.told(one, other) is not None:
            assert refusal(answer) == case.told(one, other)
        elif {one, other} == {case.seen[0], case.seen[-1]}:
            changed = (change["field"] for change in answer.json()["changes"])
            assert [name for name in changed if name not in ("at", "updated_at", "updated_by")] == [*case.differ]


async def restore(world: World, case: Case, batch: str) -> None:
    """Refused ones first: they change nothing."""
    never = NOT_ALLOWED if case.role == "reader" else None  # without any rule: told before anything is looked at
    expected = {number: never or case.told(number) or case.restores.get(number) for number in numbers(case)}
    before = await contents(world)
    for number, told in expected.items():
        if told is not None:
            answer = await world.ask("POST", f"/notes/a/restore/{number}", token=case.token)
            assert refusal(answer) == told
    assert await contents(world) == before
    allowed = [number for number, told in expected.items() if told is None]
    for number in allowed[:1]:
        answer = await world.ask("POST", f"/notes/a/restore/{number}", token=case.token)
        assert answer.status_code == 200, answer.text
        found = await world.database["notes"].find_one({"_id": "a"})
        stay = {name: value for name, value in (MINE | case.states[-1]).items() if name in case.stays}
        assert {name: found[name] for name in MINE} == MINE | case.states[number - 1] | stay


async def undo(world: World, case: Case, batch: str) -> None:
    answer = await world.post(f"/notes/batch/{batch or '0' * 32}/undo", {}, token=case.token)
    undone = case.undone if case.deleted or case.undone == "forbidden" else "absent"
    if undone == "forbidden":
        assert refusal(answer) == NOT_ALLOWED
    elif undone == "absent":
        assert refusal(answer) == (404, "batch_not_found")
    else:
        failed = [one["error"]["code"] for one in answer.json()["failed"]]
        assert (answer.json()["restored"], failed) == ((1, []) if undone == "restored" else (0, ["forbidden"]))
    assert await world.stored("a") == ([] if case.deleted and undone != "restored" else ["a"])


async def deleted(world: World, case: Case, batch: str) -> None:
    answer = await world.get("/notes/deleted", token=case.token)
    if case.role in ("lost", "reader"):
        assert refusal(answer) == NOT_ALLOWED
        return
    expected = [len(case.states)] if case.deleted and case.listed else []
    assert [one["_version"] for one in answer.json()["data"]] == expected


Route = Callable[[World, Case, str], Awaitable[None]]
ROUTES: tuple[Route, ...] = (versions, version, diff, restore, undo, deleted)


# -- the table


async def contents(world: World) -> list[dict]:
    """All that is stored of documents and of their versions."""
    stored = [await world.database[name].find().to_list() for name in ("notes", "_pm_versions")]
    return [row for rows in stored for row in rows]


async def written(world: World, case: Case) -> str:
    """The document through all its states; the batch that deleted it, if one did."""
    await world.add("a", token=ROOT, tenant_id="acme", tags=["x" * 400])
    for number, state in enumerate(case.states, 1):
        await world.database["notes"].update_one({"_id": "a"}, {"$set": MINE | state})
        if number < len(case.states):
            answer = await world.ask("PATCH", "/notes/a", {"at": f"2026-01-0{number}"}, token=ROOT)
            assert answer.status_code == 200, answer.text
    if not case.deleted:
        return ""
    return (await world.delete("/notes/batch", {"ids": ["a"]}, token=ROOT)).json()["batch"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda one: one.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda one: one.name)
async def test_t35_old_states_are_shown_by_the_rules_of_today(mongo_uri, tmp_path, case, route):
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG, SCHEMA, POLICY)) as world:
        await route(world, case, await written(world, case))


@pytest.mark.parametrize("route", [versions, version, diff, restore], ids=lambda one: one.__name__)
@pytest.mark.parametrize("case", [case for case in CASES if len(case.states) > 2], ids=lambda one: one.name)
async def test_t35_so_are_states_that_are_kept_as_differences(mongo_uri, tmp_path, case, route):
    schema = SCHEMA.replace("versioning: {enabled: true}", "versioning: {enabled: true, mode: diff}")
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG, schema, POLICY)) as world:
        batch = await written(world, case)
        assert await world.database["_pm_versions"].count_documents({"mode": "diff"}) > 0
        await route(world, case, batch)


@pytest.mark.parametrize("case", CASES, ids=lambda one: one.name)
async def test_t35_so_are_states_as_of_their_moments(mongo_uri, tmp_path, case):
    """By `_as_of` of the document and of the list: a state out of reach is an absent document."""
    async with a_timed_world(mongo_uri, a_config(tmp_path, CONFIG, SCHEMA, POLICY)) as timed:
        moments = await moments_of(timed, case)
        for number, moment in enumerate(moments, 1):
            one = await timed.one(moment, token=case.token)
            listed = await timed.list(moment, token=case.token)
            if case.role == "lost":
                assert refusal(one) == refusal(listed) == NOT_ALLOWED
            elif number not in (case.seen or ()):
                assert (refusal(one), listed.json()["data"]) == (NO_DOCUMENT, [])
            else:
                assert listed.json()["data"] == [one.json()]
                assert one.json()["_version"] == number
                expected = case.shows.get(number, {})
                assert all(one.json().get(name, ...) == value for name, value in expected.items())


async def moments_of(timed: Timed, case: Case) -> list[datetime]:
    """The document through all its states; a moment of each."""
    world, moments = timed.world, []
    await world.add("a", token=ROOT, tenant_id="acme", tags=["x" * 400])
    for number, state in enumerate(case.states, 1):
        await world.database["notes"].update_one({"_id": "a"}, {"$set": MINE | state})
        moments.append(timed.clock.tick())
        if number < len(case.states):
            answer = await world.ask("PATCH", "/notes/a", {"at": f"2026-01-0{number}"}, token=ROOT)
            assert answer.status_code == 200, answer.text
    if case.deleted:
        assert (await world.delete("/notes/batch", {"ids": ["a"]}, token=ROOT)).json()["deleted"] == 1
    timed.clock.tick()
    return moments
