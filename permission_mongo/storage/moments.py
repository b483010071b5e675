"""Collections as they were at a moment: rows that are so still, and states kept since, of what is visible today.

Live rows are read first and kept states second: a row that changes in between is met twice, and never missed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any, Final

from bson import encode

from permission_mongo.documents.paths import MADE
from permission_mongo.moments import AsOfOnePlan, AsOfPlan
from permission_mongo.outcomes import Found, Page
from permission_mongo.query.id_order import Place, place_of
from permission_mongo.storage.computed import computing
from permission_mongo.storage.layout import HISTORY
from permission_mongo.storage.lists import read_rows
from permission_mongo.storage.reads import not_found
from permission_mongo.storage.rooms import BY_ID, Rooms
from permission_mongo.values import CODEC, Document, MongoFilter
from permission_mongo.versions import began, tenant_of

_MOST: Final = 4096  # rows by one query
# What is needed of a record, under the one name of its content that is never shown.
_ABOUT: Final = {"began": "$began", "gone": "$gone", "tenant": "$tenant_id"}
Life = tuple[Place, Place]  # the places of a tenant and an id
Some = tuple[list["_State"], bool]  # in the order of ids, and whether there are more


async def as_of_page(plan: AsOfPlan, rooms: Rooms) -> Page:
    """Rows that fall away, for they are out of reach today, make a page no shorter: reading goes on until it is full.

    All of it within one deadline. Where a page ends, and that there is more, is told by rows that are shown alone.
    """
    if plan.present.is_empty and plan.last.is_empty:
        return Page((), None, False)
    walk = _Walk(plan, rooms, rooms.deadline(), plan.after, plan.limit + 1)
    async with rooms.bounded():
        while not walk.is_done:
            await walk.step()
    return walk.page()


async def as_of_one(plan: AsOfOnePlan, rooms: Rooms) -> Found:
    """DocumentNotFound also where nobody knows whether it was there."""
    page = await as_of_page(plan.page, rooms)
    for document in page.documents:
        return Found(document)
    raise not_found(plan.page.collection)


@dataclass(frozen=True, slots=True)
class _State:
    """What a document was like; `began` None where nobody knows since when. `kept` says that it has ended."""

    document: Document
    place: Place
    tenant: Place
    began: datetime | None
    kept: bool = False
    gone: bool = False

    @property
    def life(self) -> Life:
        return (self.tenant, self.place)


@dataclass(slots=True)
class _Walk:
    """A page on its way. `unsure` are the places of rows that may belong to it; `size` is what a query reads next."""

    plan: AsOfPlan
    rooms: Rooms
    ends: float
    after: Any | None
    size: int
    shown: list[Document] = field(default_factory=list)
    unsure: list[Place] = field(default_factory=list)
    bytes: int = 0
    is_full: bool = False
    is_over: bool = False

    @property
    def is_done(self) -> bool:
        return self.is_full or self.is_over

    def page(self) -> Page:
        """`complete` is told of the page's own stretch of ids, up to its last row."""
        last = self.shown[-1]["_id"] if self.is_full else None
        passed = [one for one in self.unsure if not self.is_full or one <= place_of(last)]
        return Page(tuple(self.shown), last, self.is_full, complete=not passed)

    async def step(self) -> None:
        """The next stretch of ids: as far as both queries came."""
        live, more_live = await self._live()
        records, more_records = await self._records()
        self.size = min(2 * self.size, max(_MOST, self.plan.limit))
        reached = [states[-1] for states, more in ((live, more_live), (records, more_records)) if more]
        horizon = min(reached, key=lambda one: one.place, default=None)
        within = [one for one in (*live, *records) if horizon is None or one.place <= horizon.place]
        self._take(await self._visible_today(within))
        self.is_over = horizon is None
        self.after = None if horizon is None else horizon.document["_id"]

    def _take(self, states: Iterable[_State]) -> None:
        by_place: dict[Place, list[_State]] = {}
        for one in states:
            by_place.setdefault(one.place, []).append(one)
        for place in sorted(by_place):
            known = [(one.began, one.kept, n) for n, one in enumerate(by_place[place]) if one.began is not None]
            if known:
                # At one moment an id is one document: what began last. Met twice, the record of it counts.
                self._add(by_place[place][max(known)[2]].document)
            else:
                self.unsure.append(place)

    def _add(self, document: Document) -> None:
        if self.is_full:
            return
        document.pop(MADE, None)
        self.bytes += len(encode(document, codec_options=CODEC))
        if len(self.shown) == self.plan.limit or (self.shown and self.bytes > self.plan.max_bytes):
            self.is_full = True
        else:
            self.shown.append(document)

    # -- the two queries

    async def _live(self) -> Some:
        """Live rows whose state had begun."""
        plan = self.plan
        if plan.live.is_empty:
            return [], False
        hint = None if self.after is None else {**{name: 1 for name, _ in plan.prefix}, "_id": 1}
        match = plan.live.also({"$and": [self._had_begun(f"{MADE}.at"), self._behind("_id")]})
        rows, more = await self._read(plan.collection, match, "_id", [], hint)
        told = [(row, place_of(tenant_of(row, plan.tenant_field))) for row in rows]
        return [_State(row, place_of(row["_id"]), tenant, began(row)) for row, tenant in told], more

    async def _records(self) -> Some:
        """States that had begun and not ended."""
        plan = self.plan
        if plan.records.is_empty:
            return [], False
        match = plan.records.also({"$and": [self._had_begun("began"), self._behind("doc_id")]})
        content = {"$replaceWith": {"$mergeObjects": ["$data", {MADE: _ABOUT}]}}
        hint = dict.fromkeys(HISTORY, 1) if plan.led else None
        rows, more = await self._read(self.rooms.versions.name, match, "doc_id", [content], hint)
        return [_kept(row) for row in rows], more

    def _had_begun(self, name: str) -> MongoFilter:
        """By the moment; and those of which nobody knows, until the page is known to lack some."""
        moment = {"$gt": self.plan.moment}
        return {name: {"$lte": self.plan.moment}} if self.unsure else {name: {"$not": moment}}

    def _behind(self, name: str) -> MongoFilter:
        """By `$expr`, which goes on across types of ids."""
        return {} if self.after is None else {"$expr": {"$gt": [f"${name}", {"$literal": self.after}]}}

    async def _read(
        self, collection: str, match: MongoFilter, order: str, content: list[Document], hint: Any
    ) -> tuple[list[Document], bool]:
        stages: list[Document] = [{"$match": match}, {"$sort": {order: 1}}, {"$limit": self.size + 1}, *content]
        if self.plan.computed:
            stages.append(computing(self.plan.computed))
        options = {} if hint is None else {"hint": hint}
        found = await self.rooms.live(collection).aggregate_raw_batches(
            stages, batchSize=self.size + 2, maxTimeMS=self._left(), **options
        )
        return await read_rows(found, self.size, self.plan.max_bytes, self.rooms.sizes[self.plan.collection])

    def _left(self) -> int:
        return max(1, int((self.ends - monotonic()) * 1000))

    # -- what is seen today

    async def _visible_today(self, states: list[_State]) -> list[_State]:
        """Without the kept states of documents that are out of reach today.

        A live row was found under the rules itself, and so was the last content of a deleted document.
        """
        waiting = {one.life: one for one in states if one.kept and not one.gone}
        # The live rows twice: what was deleted in between is a last content then, and what was restored lives again.
        for look in (self._living, self._last, self._living):
            if waiting:
                for life in await look([one.document["_id"] for one in waiting.values()]):
                    waiting.pop(life, None)
        return [one for one in states if not one.kept or one.gone or one.life not in waiting]

    async def _living(self, ids: list[Any]) -> list[Life]:
        plan = self.plan
        about = {"_id": 1, **({} if plan.tenant_field is None else {plan.tenant_field: 1})}
        live = self.rooms.live(plan.collection)
        found = await live.find(plan.present.among(ids), about, hint=BY_ID, max_time_ms=self._left()).to_list()
        return [(place_of(tenant_of(one, plan.tenant_field)), place_of(one["_id"])) for one in found]

    async def _last(self, ids: list[Any]) -> list[Life]:
        match = self.plan.last.also({"doc_id": {"$in": ids}})
        about = {"_id": 0, "tenant_id": 1, "doc_id": 1}
        found = await self.rooms.versions.find(match, about, max_time_ms=self._left()).to_list()
        return [(place_of(one.get("tenant_id")), place_of(one["doc_id"])) for one in found]


def _kept(row: Document) -> _State:
    about = row[MADE]
    start = about.get("began")
    known = start if isinstance(start, datetime) else None
    return _State(
        row, place_of(row["_id"]), place_of(about.get("tenant")), known, kept=True, gone=about.get("gone") is True
    )
