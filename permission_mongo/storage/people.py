"""The people around a caller, read from the hierarchy and remembered.

A number in each tenant counts the changes of its hierarchy, and every transaction with one writes it: by it two of them
are one behind the other, and what is remembered is known to be as it was.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from permission_mongo.hierarchy import Tenant, User
from permission_mongo.policy.kin import NOBODY, Kin
from permission_mongo.service import KinPlan
from permission_mongo.storage.layout import HIERARCHY
from permission_mongo.values import Document

_HEAVIEST: Final = 500_000  # ids in all
_EACH: Final = 16  # what an entry weighs without them
_MARGIN: Final = 5.0  # seconds that a transaction may need beyond its deadline to have ended
_ALL: Final = 100_000  # tenants whose number is remembered


def row_id(tenant: Tenant, user: User) -> Document:
    return {"t": tenant, "u": user}


@dataclass(frozen=True, slots=True)
class _Known:
    generation: int
    kin: Kin

    @property
    def weight(self) -> int:
        return self.kin.weight + _EACH


class People:
    """One database's hierarchy. `timeout` bounds each command and each transaction, in seconds."""

    def __init__(self, database: AsyncDatabase[Document], timeout: float) -> None:
        self.rows = database[HIERARCHY]
        self._timeout = timeout
        self._generations: dict[Tenant, tuple[int, float]] = {}
        self._changing: dict[Tenant, float] = {}
        self._known: OrderedDict[Hashable, _Known] = OrderedDict()
        self._weight = 0

    async def stir(self, session: AsyncClientSession, tenant: Tenant, seconds: float) -> None:
        """Count a change that the session's transaction makes, and conflict with any other that does so now.

        Until the transaction has ended, `seconds` from now at the latest, nothing remembered here is taken unasked.
        """
        self._changing[tenant] = max(self._changing.get(tenant, 0.0), monotonic() + seconds + _MARGIN)
        await self.rows.update_one(_counter(tenant), {"$inc": {"n": 1}}, upsert=True, session=session)

    async def around(self, plan: KinPlan) -> Kin:
        """What is told is never older than the last change made here; of another gateway's `plan.seconds` at most."""
        generation = await self._generation(plan)
        key = (plan.tenant, plan.user, plan.relations, plan.most)
        known = self._known.get(key)
        if known is not None and known.generation == generation:
            self._known.move_to_end(key)
            return known.kin
        kin = await self._read(plan)
        if known is not None and (known.kin.lists, known.kin.overflowing) == (kin.lists, kin.overflowing):
            kin = known.kin  # the same one, so that what is bound to it serves on
        self._keep(key, _Known(generation, kin))
        return kin

    async def _generation(self, plan: KinPlan) -> int:
        """Read before the people are: what is read later than the number is read again when that changes."""
        now, tenant = monotonic(), plan.tenant
        known = self._generations.get(tenant)
        if self._changing.get(tenant, 0.0) > now:
            known = None
        else:
            self._changing.pop(tenant, None)
        if known is not None and now - known[1] < plan.seconds:
            return known[0]
        found = await self.rows.find_one(_counter(tenant), max_time_ms=self._max_time_ms)
        generation = 0 if found is None else int(found["n"])
        if len(self._generations) >= _ALL:
            self._generations.clear()
        self._generations[tenant] = generation, now
        return generation

    @property
    def _max_time_ms(self) -> int:
        return int(self._timeout * 1000)

    async def _read(self, plan: KinPlan) -> Kin:
        match = {"_id": row_id(plan.tenant, plan.user)}
        own = await self.rows.find_one(match, max_time_ms=self._max_time_ms)
        if own is None:
            return NOBODY
        lists = {"$ancestors": tuple(map(str, own["up"]))} if "$ancestors" in plan.relations else {}
        over: set[str] = set()
        for name in ("$subordinates", "$directReports"):
            if name in plan.relations:
                found = await self._below(plan, direct=name == "$directReports")
                lists[name] = found[: plan.most]
                over |= {name} if len(found) > plan.most else set()
        return Kin(lists, frozenset(over))

    async def _below(self, plan: KinPlan, *, direct: bool) -> tuple[str, ...]:
        """Those below, one more than are wanted if there are; in an order that is the same each time."""
        match: dict[str, Any] = {"t": {"$eq": plan.tenant}, "up": {"$eq": plan.user}}
        if direct:
            match["m"] = {"$eq": plan.user}
        limit = plan.most + 1
        found = self.rows.find(match, {"_id.u": 1}, limit=limit, batch_size=limit + 1, max_time_ms=self._max_time_ms)
        return tuple(sorted([str(row["_id"]["u"]) for row in await found.to_list()]))

    def _keep(self, key: Hashable, known: _Known) -> None:
        self._forget(key)
        self._known[key] = known
        self._weight += known.weight
        while self._weight > _HEAVIEST:
            self._forget(next(iter(self._known)))

    def _forget(self, key: Hashable) -> None:
        known = self._known.pop(key, None)
        self._weight -= 0 if known is None else known.weight


def _counter(tenant: Tenant) -> Document:
    return {"_id": {"t": tenant, "n": True}}
