"""The outside asked before a write: numbers of sequences, and receivers that may refuse or set something.

A write that wants something is tried, undone, and planned again with what was answered; it is committed only over the
document that the outside was asked of.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, assert_never
from uuid import UUID, uuid4

from permission_mongo.batch import Batch
from permission_mongo.config.model import Config
from permission_mongo.documents.paths import canonical
from permission_mongo.errors import Conflict, InvalidRequest, StillRunning
from permission_mongo.events import granted
from permission_mongo.hooks import EVENTS, MOST_ASKED, Call
from permission_mongo.jobs import AT_FIRST, Turn
from permission_mongo.operations import (
    CreateMany,
    CreateOne,
    DeleteMany,
    DeleteOne,
    Operation,
    PurgeOne,
    RestoreOne,
    Service,
    Undo,
    UpdateMany,
    UpdateOne,
    Write,
)
from permission_mongo.outcomes import BatchOutcome, Outcome
from permission_mongo.outgoing.calls import Caller, CallFailed
from permission_mongo.planning.callers import Asking, KinWanted
from permission_mongo.planning.make import Planner
from permission_mongo.plans import (
    CreatePlan,
    DeleteOnePlan,
    DeletePlan,
    Once,
    Plan,
    PurgePlan,
    RestorePlan,
    UndoPlan,
    UpdateManyPlan,
    UpdatePlan,
)
from permission_mongo.prehooks import CHANGED, Answer, Asked, Wanting, Wish, mark_of
from permission_mongo.schema.model import Collection
from permission_mongo.storage.sequences import Sequences
from permission_mongo.storage.store import Store
from permission_mongo.values import Document, date_text, read_json, write_json
from permission_mongo.versions import tenant_of

_AT_ONCE: Final = 8
_LONGEST: Final = 60.0  # seconds for all of them
_LONGEST_MESSAGE: Final = 500
_MOST_ROUNDS: Final = 20
_OfOne = UpdatePlan | DeleteOnePlan | PurgePlan | RestorePlan
_OfMany = UpdateManyPlan | DeletePlan | UndoPlan
Wishes = Mapping[Any, Wish]  # by the id of the document; of a new one by its place among those sent


class _Drawn:
    """Fresh uuids, the same again each time that a request is planned: what the outside saw is what is stored."""

    def __init__(self, fresh: Callable[[], UUID]) -> None:
        self._fresh = fresh
        self._drawn: list[UUID] = []
        self._at = 0

    def begin(self) -> None:
        self._at = 0

    def __call__(self) -> UUID:
        if self._at == len(self._drawn):
            self._drawn.append(self._fresh())
        self._at += 1
        return self._drawn[self._at - 1]


async def planned(
    planner: Planner, store: Store, operation: Operation | Service, asking: Asking
) -> tuple[Plan, Asking]:
    """The plan, and who asks with the people around them where a rule of it reads the hierarchy."""
    try:
        return planner.plan(operation, asking), asking
    except KinWanted as wanted:
        known = replace(asking, kin=await store.kin(wanted.plan))
        return planner.plan(operation, known), known


@dataclass(frozen=True, slots=True)
class Consulting:
    """The planner, and what it can't know."""

    config: Config
    planner: Planner
    store: Store
    sequences: Sequences
    caller: Caller

    async def planned(
        self, operation: Operation | Service, asking: Asking, turn: Turn = AT_FIRST
    ) -> tuple[Plan, Asking]:
        """The plan, of new documents and of a batch with what the outside says of each."""
        if not isinstance(operation, Write) or not self._concerns(operation):
            return await planned(self.planner, self.store, operation, asking)
        drawn = _Drawn(self.planner.new_uuid)
        planner = replace(self.planner, new_uuid=drawn)
        for _ in range(_MOST_ROUNDS):
            drawn.begin()
            try:
                plan, wishes = await self._tried(planner, operation, asking, turn)
            except KinWanted as wanted:
                asking = replace(asking, kin=await self.store.kin(wanted.plan))
                continue
            if plan is not None and not wishes:
                return plan, asking
            if asking.once is not None and await self._came_before(asking.once, plan):
                # Nobody is asked of it again. The store tells what it did, and does nothing of such a plan.
                return plan or self.planner.plan(operation, replace(asking, repeats=True)), asking
            asking = await self._answered(wishes, operation, asking)
        raise Conflict(CHANGED)

    async def _came_before(self, once: Once, plan: Plan | None) -> bool:
        """Whether the same request has its answer, or is a job whose answer the store waits for."""
        try:
            return await self.store.is_answered(once)
        except StillRunning:
            if plan is None:
                raise
            return True

    async def executed(self, plan: Plan, operation: Operation | Service, asking: Asking) -> tuple[Plan, Outcome]:
        """What happened. What is wanted of one document is learnt by trying: nothing of that is committed."""
        while True:
            try:
                return plan, await self.store.execute(plan, asking.actor())
            except Wanting as wanting:
                if not isinstance(plan, _OfOne) or not isinstance(operation, Write):
                    raise
                one = plan.past.id if isinstance(plan, RestorePlan) else plan.id
                asking = await self._answered({one: wanting.wish}, operation, asking)
                plan = self.planner.plan(operation, asking)

    def _concerns(self, operation: Write) -> bool:
        hooks = self.config.hooks_of(operation.collection.name)
        match operation:
            case CreateOne() | CreateMany():
                return hooks.asks_outside("create")
            case UpdateOne() | UpdateMany(otherwise=None):
                return hooks.asks_outside("update")
            case UpdateMany():
                return hooks.asks_outside("update") or hooks.asks_outside("create")
            case DeleteOne() | DeleteMany() | PurgeOne():
                return hooks.asks_outside("delete")
            case RestoreOne() | Undo():
                return any(hooks.asks_outside(event) for event in EVENTS)
            case _:
                assert_never(operation)

    async def _tried(
        self, planner: Planner, operation: Write, asking: Asking, turn: Turn
    ) -> tuple[Plan | None, Wishes]:
        """The plan as far as there is one, and what is still wanted; a batch is tried as a whole and undone."""
        try:
            plan = planner.plan(operation, asking)
        except Wanting as wanting:
            return None, {0: wanting.wish}
        if isinstance(plan, CreatePlan):
            wanting_drafts = ((one.index, one.refusal) for one in plan.drafts)
            return plan, {n: refusal.wish for n, refusal in wanting_drafts if isinstance(refusal, Wanting)}
        if not isinstance(plan, _OfMany) or plan.batch.dry_run:
            return plan, {}
        trying = Turn(turn.behind, turn.before)
        try:
            tried = await self.store.execute(_rehearsal(plan), replace(asking, once=None).actor(), trying)
        except Wanting as wanting:  # of the document that is created where nothing is to be changed
            return plan, {0: wanting.wish}
        assert isinstance(tried, BatchOutcome)  # noqa: S101  (nothing else comes of a batch without a key)
        return plan, {one.id: one.refusal.wish for one in tried.failed if isinstance(one.refusal, Wanting)}

    async def _answered(self, wishes: Wishes, operation: Write, asking: Asking) -> Asking:
        """The same request, with what the outside says of each document."""
        calls = {key: wish for key, wish in wishes.items() if isinstance(wish.step, Call)}
        if len(calls) > MOST_ASKED:
            raise InvalidRequest(
                f"a hook is asked of each document here, and of at most {MOST_ASKED} in a request",
                max_batch_size=MOST_ASKED,
            )
        said: dict[Any, Any] = {**await self._numbers(wishes, operation.collection)}
        said |= await self._answers(calls, operation, asking)
        asked = {
            key: Asked(mark_of(wish.old), {**_known(asking, key), wish.position: said[key]})
            for key, wish in wishes.items()
        }
        return replace(asking, asked={**asking.asked, **asked})

    async def _numbers(self, wishes: Wishes, collection: Collection) -> dict[Any, int]:
        """One draw a sequence and tenant, in the order of the documents."""
        wanted: dict[tuple[str, Any], list[Any]] = {}
        for key, wish in wishes.items():
            if wish.sequence is not None:
                tenant = tenant_of(wish.new or {}, collection.tenant_field)
                wanted.setdefault((wish.sequence, tenant), []).append(key)
        drawn: dict[Any, int] = {}
        for (sequence, tenant), keys in wanted.items():
            drawn |= zip(keys, await self.sequences.draw(sequence, tenant, len(keys)), strict=True)
        return drawn

    async def _answers(self, calls: Wishes, operation: Write, asking: Asking) -> dict[Any, Answer]:
        slots, until = asyncio.Semaphore(_AT_ONCE), asyncio.get_running_loop().time() + _LONGEST

        async def one(wish: Wish) -> Answer:
            async with slots:
                return await self._answer(wish, operation, asking, until)

        answers = await asyncio.gather(*(one(wish) for wish in calls.values()))
        return dict(zip(calls, answers, strict=True))

    async def _answer(self, wish: Wish, operation: Write, asking: Asking, until: float) -> Answer:
        step = wish.step
        assert isinstance(step, Call)  # noqa: S101  (these are the calls)
        message = f"msg_{uuid4().hex}"
        body = write_json({"id": message, **_content(wish, step, operation, asking)})
        for _ in range(step.receiver.retries + 1):
            try:
                async with asyncio.timeout_at(until):
                    reply = await self.caller.call(step.receiver, message, int(time.time()), body)
                return _read(reply.body, step, operation.collection)
            except (CallFailed, TimeoutError):
                continue
        return Answer() if step.ignores else Answer(refused=f"the hook '{step.receiver.name}' gave no answer")


def _known(asking: Asking, key: Any) -> Mapping[int, Any]:
    earlier = asking.asked.get(key)
    return {} if earlier is None else earlier.outside


def _content(wish: Wish, step: Call, operation: Write, asking: Asking) -> Document:
    """As of the events, and of granted fields of a stored document what they were as well."""
    old, new, collection = wish.old, wish.new, operation.collection
    shown = new if new is not None else old or {}
    kind = "document.creating" if old is None else "document.deleting" if new is None else "document.updating"
    was = granted({}, old, old, step.receiver.fields) if old is not None and new is not None else {}
    return {
        "type": kind,
        "collection": collection.name,
        "document": shown.get("_id"),
        "action": type(operation).__name__,
        "at": date_text(asking.now),
        "by": asking.principal.subject,
        "tenant": tenant_of(shown, collection.tenant_field),
        "request": asking.request_id,
        **granted(old or {}, new or {}, shown, step.receiver.fields),
        **({"before": was["values"]} if was else {}),
    }


def _read(body: bytes, step: Call, collection: Collection) -> Answer:
    """CallFailed for anything but `{"allow": true|false, "message"?, "set"?}`."""
    try:
        said = read_json(body)
    except ValueError as error:
        raise CallFailed("the answer is no JSON") from error
    if (
        not isinstance(said, dict)
        or not isinstance(said.get("allow"), bool)
        or said.keys() - {"allow", "message", "set"}
    ):
        raise CallFailed("the answer says neither yes nor no")
    message, sets = said.get("message", "a hook refuses this"), said.get("set", {})
    if not isinstance(message, str) or not isinstance(sets, dict):
        raise CallFailed("the answer says neither yes nor no")
    if not said["allow"]:
        return Answer(refused=message[:_LONGEST_MESSAGE])
    return Answer(sets=tuple(_set(sets, step, collection)))


def _set(sets: Mapping[str, Any], step: Call, collection: Collection) -> Iterator[tuple[tuple[str, ...], Any]]:
    for place, value in sets.items():
        path = canonical(place)
        if not all(path) or path != tuple(place.split(".")) or path[0] in step.kept or not collection.knows(place):
            raise CallFailed("the answer sets what a hook may not write")
        yield path, value


# -- trying


def _rehearsal(plan: UpdateManyPlan | DeletePlan | UndoPlan) -> UpdateManyPlan | DeletePlan | UndoPlan:
    """The same, leaving nothing behind: neither rows nor an audit entry."""
    batch = _unkept(plan.batch)
    target = replace(plan.target, audited=False)
    if isinstance(plan, UpdateManyPlan) and plan.otherwise is not None:
        plan = replace(plan, otherwise=replace(plan.otherwise, target=target, batch=batch))
    if not isinstance(plan, UndoPlan):
        return replace(plan, target=target, batch=batch)
    share = _unkept(plan.reviving.batch)
    return replace(
        plan,
        target=target,
        batch=batch,
        reviving=replace(plan.reviving, target=target, batch=share),
        reverting=replace(plan.reverting, target=target, batch=share),
        removing=None if plan.removing is None else replace(plan.removing, target=target, batch=share),
    )


def _unkept(batch: Batch) -> Batch:
    return replace(batch, dry_run=True, atomic=False, results=False)
