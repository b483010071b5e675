"""Pages and counts: plans on many documents that change nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from time import monotonic
from typing import Any, Final, cast

from bson.max_key import MaxKey
from bson.min_key import MinKey
from pymongo.asynchronous.cursor import AsyncRawBatchCursor
from pymongo.errors import OperationFailure

from permission_mongo.documents.paths import MADE
from permission_mongo.errors import InvalidRequest
from permission_mongo.outcomes import Counted, Page
from permission_mongo.plans import CountPlan, DeletedPlan, ListPlan
from permission_mongo.portions import Portions, last_of
from permission_mongo.query.keyset import behind, bounds, key_of
from permission_mongo.query.sorting import Ordered
from permission_mongo.shares import Seen
from permission_mongo.storage.computed import computed_by_id, computed_by_order, computed_contents, count_computed
from permission_mongo.storage.decoding import documents_of
from permission_mongo.storage.layout import HISTORY
from permission_mongo.storage.rooms import BY_ID, Rooms, how_many_fit
from permission_mongo.values import Document
from permission_mongo.versions import records_of

_TOP: Final = MaxKey()
_BOTTOM: Final = MinKey()
_CANT_SORT: Final = frozenset({2, 292})  # BadValue: arrays in two of its fields; QueryExceededMemoryLimit
Rows = AsyncRawBatchCursor[Document]
Found = list[Document] | Portions[Document]


async def list_page(plan: ListPlan, rooms: Rooms) -> Page:
    """A page by key: bounds on an index instead of a skip, so that any depth costs the same."""
    if plan.match.is_empty:
        return Page((), None, False, 0 if plan.counts else None)
    total = None
    async with rooms.bounded():
        ends = rooms.deadline()
        if plan.ordered is None:
            rows, more = await _by_id(plan, rooms)
            last = last_of(rows)["_id"] if more else None
        else:
            rows, more = await _sorted(plan, plan.ordered, rooms)
            rows, last = _keys(rows, plan.ordered, more=more)
        if plan.counts:
            total = await _count(plan, rooms, ends)
    return Page(rows if isinstance(rows, Portions) else tuple(rows), last, more, total)


async def _by_id(plan: ListPlan, rooms: Rooms) -> tuple[Found, bool]:
    if plan.computed:
        return await read_rows(
            await computed_by_id(plan, rooms), plan.limit, plan.max_bytes, rooms.sizes[plan.collection]
        )
    if plan.after is None:
        skip = {"skip": plan.skip} if plan.skip else {}
        return await _found(plan, {"filter": plan.match.encoded, "sort": {"_id": 1}, **skip}, rooms)
    index = {**dict.fromkeys((name for name, _ in plan.prefix), 1), "_id": 1}
    bounded = {
        # `min` includes its bound; the row behind which the page begins was shown already.
        "filter": plan.match.also({"_id": {"$ne": plan.after}}),
        "sort": index,
        "hint": index,
        "min": {**dict(plan.prefix), "_id": plan.after},
        "max": {**dict(plan.prefix), "_id": _TOP},
    }
    return await _found(plan, bounded, rooms)


async def _sorted(plan: ListPlan, by: Ordered, rooms: Rooms) -> tuple[Found, bool]:
    try:
        return await _by_order(plan, by, rooms)
    except OperationFailure as error:
        if error.code not in _CANT_SORT:
            raise
        if by.index is not None and plan.after is not None:
            # The index may have been dropped since the start: without it the page is the same, and slower.
            return await _sorted(plan, Ordered(by.order), rooms)
        # Told of rows that are shown: the sort sees no others, and its fields are the caller's to read in all of them.
        fields = [name for name, _ in by.order]
        raise InvalidRequest("sort: these documents can't be sorted by these fields", fields=fields) from error


async def _by_order(plan: ListPlan, by: Ordered, rooms: Rooms) -> tuple[Found, bool]:
    """With the key each row is sorted by, as MongoDB tells it, under the one name that is never shown."""
    if plan.computed:
        return await read_rows(
            await computed_by_order(plan, by, rooms), plan.limit, plan.max_bytes, rooms.sizes[plan.collection]
        )
    asked: Document = {"filter": plan.match.encoded, "projection": {MADE: {"$meta": "sortKey"}}, "sort": dict(by.order)}
    if plan.after is not None:
        asked["filter"] = plan.match.also(behind(by.order, plan.after))
        if by.index is not None:
            least, highest = bounds(by, plan.prefix, plan.after)
            asked |= {"hint": dict(by.index), "min": dict(least), "max": dict(highest)}
    return await _found(plan, {**asked, "skip": plan.skip} if plan.skip else asked, rooms)


async def _found(plan: ListPlan, asked: Document, rooms: Rooms) -> tuple[Found, bool]:
    """By one plain command, which costs less than the driver's cursor; by that where the answer is not whole."""
    found = await rooms.few(plan.collection, asked, plan.limit, plan.max_bytes)
    if found is not None:
        return found
    most = plan.limit + 1
    options = {name: value for name, value in asked.items() if name not in ("filter", "sort")}
    cursor = rooms.live(plan.collection).find_raw_batches(
        asked["filter"],
        sort=list(asked["sort"].items()),
        limit=most,
        batch_size=most,
        max_time_ms=rooms.max_time_ms,
        **{**options, **({"hint": list(options["hint"].items())} if "hint" in options else {})},
    )
    return await read_rows(cursor, plan.limit, plan.max_bytes, rooms.sizes[plan.collection])


def _keys(rows: Found, by: Ordered, *, more: bool) -> tuple[Found, Any | None]:
    """The rows without the keys they were sorted by, and the last one's, where there are more."""
    key = None
    if more:
        last = last_of(rows)
        key = key_of(by.order, last[MADE], last)
    return rows.through(_without_keys) if isinstance(rows, Portions) else _without_keys(rows), key


def _without_keys(rows: Sequence[Document]) -> list[Document]:
    for row in rows:
        del row[MADE]
    return [*rows]


async def read_rows(cursor: Rows, most: int, max_bytes: int, seen: Seen) -> tuple[list[Document], bool]:
    """At most `most` rows and `max_bytes`, the first row of any size; and whether there are more.

    `seen` is told how large they are.
    """
    rows: list[Document] = []
    size = 0
    async for batch in cast("AsyncIterator[bytes]", cursor):
        fitting = _fitting(batch, max_bytes - size, first=not rows)
        found = documents_of(fitting)
        seen.saw(len(fitting), len(found))
        rows += found
        if len(fitting) < len(batch):
            # Only here: after a failure the driver closes it by itself, and nobody waits for a server that hangs.
            await cursor.close()
            return rows[:most], True
        size += len(batch)
    if not rows:
        seen.saw(0, 0)
    return rows[:most], len(rows) > most


def _fitting(batch: bytes, room: int, *, first: bool) -> bytes:
    """The documents at the head of a batch that fit into `room` bytes, and the `first` one in any case."""
    if len(batch) <= room:
        return batch
    sizes = list(_sizes(batch))
    return batch[: sum(sizes[: how_many_fit(sizes, room, first=first)])]


def _sizes(batch: bytes) -> Iterator[int]:
    """Of documents one behind the other: each begins with its own size."""
    start = 0
    while start < len(batch):
        size = int.from_bytes(batch[start : start + 4], "little")
        yield size
        start += size


async def count(plan: CountPlan, rooms: Rooms) -> Counted:
    if plan.match.is_empty:
        return Counted(0)
    async with rooms.bounded():
        return Counted(await _count(plan, rooms, rooms.deadline()))


async def _count(plan: CountPlan | ListPlan, rooms: Rooms, ends: float) -> int:
    """`ends` is the moment by which it must be done: a list and its count share one limit."""
    left = max(1, int((ends - monotonic()) * 1000))
    if plan.asked:
        return await count_computed(plan, rooms, left)
    return await rooms.live(plan.collection).count_documents(plan.match.filter, maxTimeMS=left)


async def list_deleted(plan: DeletedPlan, rooms: Rooms) -> Page:
    """In the order of the records' ids: unique, though two tenants may have deleted one id."""
    if plan.match.is_empty:
        return Page((), None, False)
    seen = rooms.sizes[plan.collection]
    async with rooms.bounded():
        if plan.computed:
            match = plan.match.filter if plan.after is None else plan.match.also({"_id": {"$gt": plan.after}})
            rows, more = await read_rows(await computed_contents(match, plan, rooms), plan.limit, plan.max_bytes, seen)
            keys = [row.pop(MADE) for row in rows]
            return Page(tuple(rows), keys[-1] if more else None, more)
        rows, more = await read_rows(_gone(plan, rooms), plan.limit, plan.max_bytes, seen)
    return Page(tuple(row["data"] for row in rows), rows[-1]["_id"] if more else None, more)


def _gone(plan: DeletedPlan, rooms: Rooms) -> Rows:
    """The records: of one tenant by the index that knows what is gone, of several by that of the records' ids."""
    options: dict[str, Any] = {"limit": plan.limit + 1, "max_time_ms": rooms.max_time_ms}
    leading = dict(plan.prefix)
    if "tenant_id" not in leading:
        behind_last = {} if plan.after is None else {"_id": {"$gt": plan.after}}
        match = plan.match.also({"$and": [records_of(plan.collection), behind_last]})
        return rooms.versions.find_raw_batches(match, {"data": 1}, sort=BY_ID, hint=BY_ID, **options)
    index = [(name, 1) for name in HISTORY]
    found = rooms.versions.find_raw_batches(plan.match.filter, {"data": 1}, sort=index, hint=index, **options)
    least = leading if plan.after is None else {**leading, "doc_id": plan.after["d"]}
    above = _BOTTOM if plan.after is None else _TOP
    return found.min([(name, least.get(name, above)) for name in HISTORY]).max(
        [(name, leading.get(name, _TOP)) for name in HISTORY]
    )
