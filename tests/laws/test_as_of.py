"""As of any moment a collection is told as it was, of what today's rules show both then and now.

Random histories of documents that are made, changed, handed on, deleted, restored and made again, in two tenants, against
a model that remembers every state. Pages of any size are the whole list.
"""

import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

import pytest

from permission_mongo.storage import moments
from permission_mongo.values import date_text
from tests.http.harness import a_config, a_token
from tests.http.moments import Timed, a_timed_world

pytestmark = pytest.mark.mongo
HISTORIES = max(int(os.environ.get("LAW_EXAMPLES", "2000")) // 500, 1)
STEPS, MOMENTS = 60, 8
IDS = ("a", "b", "c", "d", "e", "f", "Z", "zz")
OWNERS = {"alice": "acme", "bob": "acme", "eve": "evil"}
TOKENS = {name: a_token(name, ["user" if tenant == "acme" else "boss"], tenant) for name, tenant in OWNERS.items()} | {
    "boss": a_token("boss", ["boss"]),
    "viewer": a_token("vera", ["viewer"]),
    "root": a_token("root", ["root"], None),
}
FOREVER = datetime(9999, 1, 1)


@dataclass
class State:
    """What a document was from `start` until before `end`."""

    one: str
    start: datetime
    owner: str
    age: int
    status: str
    end: datetime = FOREVER

    @property
    def tenant(self) -> str:
        return OWNERS[self.owner]


def sees(caller: str, state: State) -> bool:
    """The rules of the harness, told once more."""
    if caller == "root":
        return True
    if caller in ("boss", "eve"):
        return state.tenant == ("evil" if caller == "eve" else "acme")
    return state.tenant == "acme" and (state.owner == caller or state.status == "closed")


@dataclass
class History:
    """Every state there was, and the world it was made in."""

    timed: Timed
    chance: Random
    states: list[State] = field(default_factory=list)
    batches: list[tuple[State, str]] = field(default_factory=list)

    def living(self) -> dict[str, State]:
        return {state.one: state for state in self.states if state.end == FOREVER}

    def as_of(self, moment: datetime, caller: str, age: int | None = None) -> list[tuple[str, int]]:
        last = {(state.tenant, state.one): state for state in self.states}
        found = [
            (state.one, state.age)
            for state in self.states
            if state.start <= moment < state.end
            and sees(caller, state)
            and sees(caller, last[state.tenant, state.one])
            and age in (None, state.age)
        ]
        return sorted(found)

    async def grow(self) -> None:
        """One write, and some time after it; now and then hardly any."""
        living = self.living()
        one = self.chance.choice(IDS)
        if one not in living:
            await (self.restore if self.batches and self.chance.random() < 0.5 else self.create)(one)
        else:
            change = self.chance.choice((self.update, self.update, self.close, self.delete, self.hand_on))
            await change(living[one])
        self.timed.clock.tick(self.chance.choice((0.001, 0.5, 10)))

    async def create(self, one: str) -> None:
        state = State(
            one,
            self.timed.clock.now,
            self.chance.choice(list(OWNERS)),
            self.chance.randrange(4),
            self.chance.choice(("open", "closed")),
        )
        await self.timed.world.add(one, token=TOKENS[state.owner], age=state.age, status=state.status)
        self.states.append(state)

    async def update(self, state: State) -> None:
        await self._change(state, age=state.age + 1)

    async def close(self, state: State) -> None:
        await self._change(state, status="open" if state.status == "closed" else "closed")

    async def _change(self, state: State, **changed) -> None:
        answer = await self.timed.world.ask("PUT", f"/notes/{state.one}", changed, token=TOKENS["root"])
        assert answer.status_code == 200, answer.text
        self._follow(state, **changed)

    def _follow(self, state: State, **changed) -> None:
        now = self.timed.clock.now
        self.states.append(
            State(state.one, now, **{"owner": state.owner, "age": state.age, "status": state.status} | changed)
        )
        state.end = now

    async def hand_on(self, state: State) -> None:
        """By a writer beside the gateway: the present state counts as having been so from its start."""
        if state.tenant == "acme":
            state.owner = self.chance.choice(("alice", "bob"))
            await self.timed.world.database["notes"].update_one({"_id": state.one}, {"$set": {"owner_id": state.owner}})

    async def delete(self, state: State) -> None:
        answer = await self.timed.world.delete("/notes/batch", {"ids": [state.one]}, token=TOKENS["root"])
        assert answer.json()["deleted"] == 1, answer.text
        state.end = self.timed.clock.now
        self.batches.append((state, answer.json()["batch"]))

    async def restore(self, one: str) -> None:
        """By undoing its deletion, unless the id has lived since."""
        state, batch = self.batches.pop(self.chance.randrange(len(self.batches)))
        answer = await self.timed.world.post(f"/notes/batch/{batch}/undo", {}, token=TOKENS["root"])
        if answer.json().get("restored") == 1:
            end = state.end
            self._follow(state)
            state.end = end

    async def pages(self, moment: datetime, caller: str, age: int | None) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        asked = {} if age is None else {"age": str(age)}
        cursor: dict[str, str] = {}
        while True:
            limit = self.chance.randint(1, 4)
            answer = await self.timed.list(moment, token=TOKENS[caller], _limit=str(limit), **asked, **cursor)
            page = answer.json()
            found += [(row["_id"], row["age"]) for row in page["data"]]
            assert "complete" not in page
            if not page["pagination"]["has_more"]:
                return found
            assert len(page["data"]) == limit
            cursor = {"_cursor": page["pagination"]["cursor"]}

    async def require_told(self) -> None:
        self.timed.clock.tick(6)
        latest = self.timed.clock.now - timedelta(seconds=5)
        times = [self.chance.choice(self.states).start for _ in range(MOMENTS)]
        times += [min(moment + timedelta(milliseconds=self.chance.choice((-1, 1))), latest) for moment in times]
        for moment in [latest, *(max(one, self.timed.since) for one in times)]:
            for caller in TOKENS:
                age = self.chance.choice((None, None, 1))
                assert await self.pages(moment, caller, age) == self.as_of(moment, caller, age), (moment, caller)
            await self._require_one_told(moment, self.chance.choice(list(TOKENS)))

    async def _require_one_told(self, moment: datetime, caller: str) -> None:
        told = dict(self.as_of(moment, caller))
        one = self.chance.choice(IDS)
        params = {"_as_of": date_text(moment)}
        answer = await self.timed.world.get(f"/notes/{one}", token=TOKENS[caller], params=params)
        assert (answer.status_code == 200, answer.json().get("age")) == (one in told, told.get(one)), (moment, caller)


async def a_history(mongo_uri, folder, seed: int) -> None:
    async with a_timed_world(mongo_uri, a_config(folder)) as timed:
        history = History(timed, Random(seed))
        for _ in range(STEPS):
            await history.grow()
        await history.require_told()


@pytest.mark.parametrize("seed", range(HISTORIES))
async def test_every_moment_is_told_as_it_was(mongo_uri, tmp_path, seed):
    await a_history(mongo_uri, tmp_path, seed)


async def shows_what_was_visible_then(walk, states):
    return states


async def forgets_what_was_deleted(walk, ids):
    return []


async def some_histories(mongo_uri, folder) -> None:
    for seed in range(3):
        await a_history(mongo_uri, folder, seed)


HONEST_RECORDS = moments._Walk._records


async def tells_of_deleted_as_if_they_lived_on(walk):
    """Without the end of a state: what was deleted is there after it too."""
    states, more = await HONEST_RECORDS(walk)
    return [one for one in states if not one.gone], more


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("_visible_today", shows_what_was_visible_then),
        ("_last", forgets_what_was_deleted),
        ("_records", tells_of_deleted_as_if_they_lived_on),
    ],
)
async def test_the_law_catches_what_is_broken(mongo_uri, tmp_path, monkeypatch, name, broken):
    monkeypatch.setattr(moments._Walk, name, broken)
    with pytest.raises(AssertionError):
        await some_histories(mongo_uri, tmp_path)


# -- beside a writer


async def under_a_writer(mongo_uri, folder, monkeypatch, *, records_first: bool) -> list[str]:
    """The ids as of a moment, while the rows change and go between the two queries."""
    read_live, read_records = moments._Walk._live, moments._Walk._records
    async with a_timed_world(mongo_uri, a_config(folder)) as timed:
        await timed.world.add("a", "b", "c")
        moment = timed.clock.tick()

        async def write():
            await timed.world.ask("PUT", "/notes/a", {"age": 7})
            await timed.world.delete("/notes/batch", {"ids": ["b"]})

        kept = []

        async def first(walk):
            if records_first:
                kept.append(await read_records(walk))
                await write()
            found = await read_live(walk)
            if not records_first:
                await write()
            return found

        async def second(walk):
            return kept.pop() if records_first else await read_records(walk)

        monkeypatch.setattr(moments._Walk, "_live", first)
        monkeypatch.setattr(moments._Walk, "_records", second)
        return await timed.ids(moment)


async def test_live_rows_are_read_first_so_that_none_is_missed(mongo_uri, tmp_path, monkeypatch):
    assert await under_a_writer(mongo_uri, tmp_path, monkeypatch, records_first=False) == ["a", "b", "c"]


async def test_the_other_order_would_miss_rows(mongo_uri, tmp_path, monkeypatch):
    assert await under_a_writer(mongo_uri, tmp_path, monkeypatch, records_first=True) == ["c"]
