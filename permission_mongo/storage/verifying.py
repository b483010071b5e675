"""The audit held against its seals: each chain from its first seal on, and the entries that are in none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from bson.objectid import ObjectId
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.read_concern import ReadConcern

from permission_mongo.seals import ID, NOTHING_BEFORE, Seal, digest_of, hash_of, read_seal, seals_of
from permission_mongo.storage.layout import AUDIT, SEALS
from permission_mongo.storage.sealing import NAME, documents_in, head_of, ids_in
from permission_mongo.storage.settings import COLLECTION as SETTINGS
from permission_mongo.values import Document, utc_now

MOST_TOLD: Final = 1000  # faults of one chain
_AT_ONCE: Final = 1000
_ANY_ID: Final = ObjectId(bytes(12))


@dataclass(frozen=True, slots=True)
class Fault:
    """What does not fit: `what` is a stable word, `seal` the number of a seal, `entry` an entry's id."""

    what: str
    told: str
    seal: int | None = None
    entry: str | None = None


@dataclass(slots=True)
class Chain:
    """One tenant's audit. `expired` entries are gone by their age, `earlier` ones were there before sealing began,
    `waiting` ones have no seal yet.
    """

    tenant: str | None
    seals: int = 0
    entries: int = 0
    expired: int = 0
    earlier: int = 0
    waiting: int = 0
    waiting_since: datetime | None = None
    head: str | None = None
    faults: list[Fault] = field(default_factory=list)
    untold: int = 0

    def add(self, what: str, told: str, seal: int | None = None, entry: bytes | None = None) -> None:
        if len(self.faults) < MOST_TOLD:
            self.faults.append(Fault(what, told, seal, None if entry is None else entry.hex()))
        else:
            self.untold += 1


@dataclass(frozen=True, slots=True)
class Pin:
    """The last seal of a tenant as it was noted elsewhere."""

    tenant: str | None
    number: int
    hash: str
    at: datetime | None = None


async def heads(database: AsyncDatabase[Document], tenant: str | None, *, every: bool) -> list[Pin]:
    """The last seal of one tenant, or of every one."""
    found: list[Pin] = []
    for one in await _tenants(database) if every else [tenant]:
        last = await database[SEALS].find_one(seals_of(one), sort=[("_id", -1)])
        if last is not None:
            head = head_of(last)
            found.append(Pin(one, head.number, head.hash.hex(), last["at"]))
    return found


async def verify(
    database: AsyncDatabase[Document],
    ages: tuple[float | None, timedelta],
    pins: Mapping[str | None, Pin],
    tenant: str | None,
    *,
    every: bool,
) -> list[Chain]:
    """`ages`: after how many seconds entries are removed, and how late one may come to be seen."""
    verifier = _Verifier(database, ages[0], ages[1], await _sealer(database))
    tenants = [*await _tenants(database), *pins] if every else [tenant]
    chains = [await verifier.chain(one, pins.get(one)) for one in dict.fromkeys(tenants)]
    if every:
        strange = await database[AUDIT].count_documents({"_id": {"$not": {"$type": "objectId"}}})
        if strange:
            chains[0].add("inserted", f"{strange} entries have ids that no gateway makes")
    return chains


async def _sealer(database: AsyncDatabase[Document]) -> Document:
    """What the sealer's record tells, as far as the clock and all seals bear it out: it is in no chain itself."""
    told: Document = await database[SETTINGS].find_one({"_id": NAME}) or {}
    moments = {name: told[name] for name in ("since", "swept", "now") if isinstance(told.get(name), datetime)}
    bounds = {"since": {"$min": "$since"}, "swept": {"$max": "$swept"}}
    of_dates: Document = {"since": {"$type": "date"}}
    async for seals in await database[SEALS].aggregate([{"$match": of_dates}, {"$group": {"_id": None, **bounds}}]):
        moments["since"] = min(moments.get("since", seals["since"]), seals["since"])
        if isinstance(seals["swept"], datetime):
            moments["swept"] = max(moments.get("swept", seals["swept"]), seals["swept"])
    now = utc_now()
    return {name: one if name == "swept" else min(one, now) for name, one in moments.items()}


async def _tenants(database: AsyncDatabase[Document]) -> list[str | None]:
    """Whose entries or seals there are; the chain of callers without a tenant comes first."""
    found = {*await database[SEALS].distinct("_id.t"), *await database[AUDIT].distinct("tenant_id")}
    return [None, *sorted(one for one in found if isinstance(one, str))]


class _Verifier:
    def __init__(
        self, database: AsyncDatabase[Document], ttl: float | None, latest: timedelta, sealer: Document
    ) -> None:
        self._entries = database.get_collection(AUDIT, read_concern=ReadConcern("majority"))
        self._seals = database.get_collection(SEALS, read_concern=ReadConcern("majority"))
        self._ttl = ttl
        self._latest = latest
        self._sealer = sealer

    async def chain(self, tenant: str | None, pin: Pin | None) -> Chain:
        chain, ids = Chain(tenant), set[bytes]()
        since: datetime | None = self._sealer.get("since")
        oldest = await self._oldest(tenant)
        last: Seal | None = None
        pinned = False
        async for stored in self._seals.find(seals_of(tenant), sort=[("_id", 1)], batch_size=50):
            seal = self._linked(chain, stored, last)
            if seal is None:
                continue
            pinned = pinned or (pin is not None and pin.number == seal.number and pin.hash == seal.hash.hex())
            since = seal.since if last is None else since
            await self._held_against(chain, seal, oldest, ids)
            chain.seals, last = chain.seals + 1, seal
        if pin is not None and not pinned:
            chain.add("cut", f"seal {pin.number} with the hash that was noted is not in the chain", pin.number)
        chain.head = None if last is None else f"{last.number} {last.hash.hex()}"
        await self._unsealed(chain, since, ids)
        return chain

    async def _oldest(self, tenant: str | None) -> datetime | None:
        """Entries from before may be gone by their age."""
        last = await self._seals.find_one(seals_of(tenant), {"gone": 1}, sort=[("_id", -1)])
        told = None if last is None else last.get("gone")
        now = self._sealer.get("now")
        own = now - timedelta(seconds=self._ttl) if self._ttl is not None and now is not None else None
        known = [one for one in (told, own) if isinstance(one, datetime)]
        return max(known) + self._latest if known else None

    def _linked(self, chain: Chain, stored: Document, last: Seal | None) -> Seal | None:
        """The seal, held against itself and the one before. None if it can't be read."""
        number: Any = stored["_id"].get("n")
        try:
            seal = read_seal(stored)
            if hash_of(seal) != seal.hash or ObjectId(seal.ids[-1]) != stored.get("last"):
                chain.add("changed seal", f"seal {number} is not as it was made", number)
            elif list(seal.ids) != sorted(set(seal.ids)):
                chain.add("changed seal", f"seal {number} has its entries in another order", number)
        except (ValueError, KeyError, TypeError):
            chain.add("changed seal", f"seal {number} can't be read", number)
            return None
        expected = 1 if last is None else last.number + 1
        if seal.number != expected:
            missing = f"seal {expected} is" if seal.number == expected + 1 else f"seals {expected} to {number - 1} are"
            chain.add("missing seal", f"{missing} missing", expected)
        elif seal.before != (NOTHING_BEFORE if last is None else last.hash):
            chain.add("broken chain", f"seal {number} does not follow on the one before it", number)
        return seal

    async def _held_against(self, chain: Chain, seal: Seal, oldest: datetime | None, ids: set[bytes]) -> None:
        """The entries that a seal names."""
        for start in range(0, len(seal.ids), _AT_ONCE):
            part = seal.ids[start : start + _AT_ONCE]
            found = await self._digests(part)
            for n, one in enumerate(part, start):
                digest = found.get(one)
                if one in ids:
                    chain.add("repeated", f"entry {one.hex()} is in two seals", seal.number, one)
                elif digest is None:
                    self._missed(chain, seal, one, oldest)
                elif digest != seal.digests[n]:
                    chain.add("changed", f"entry {one.hex()} was changed after it was sealed", seal.number, one)
                chain.entries += digest is not None
                ids.add(one)

    def _missed(self, chain: Chain, seal: Seal, one: bytes, oldest: datetime | None) -> None:
        if oldest is not None and _made(one) < oldest:
            chain.expired += 1
        else:
            chain.add("removed", f"entry {one.hex()} was removed after it was sealed", seal.number, one)

    async def _digests(self, ids: tuple[bytes, ...]) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        async for batch in self._entries.find_raw_batches({"_id": {"$in": [ObjectId(one) for one in ids]}}):
            # Stored with its `_id` first, whatever a writer sent.
            found |= {raw[9 : 9 + ID]: digest_of(raw) for raw in documents_in(batch)}
        return found

    async def _unsealed(self, chain: Chain, since: datetime | None, sealed: set[bytes]) -> None:
        """Entries in no seal: from before sealing began, too young for it, or put there by somebody else."""
        swept: datetime | None = self._sealer.get("swept")
        backdated = await self._backdated(chain.tenant, since)
        async for one in self._ids(chain.tenant):
            if one in sealed:
                continue
            made = _made(one)
            if swept is None or made >= swept - self._latest:
                chain.waiting += 1
                chain.waiting_since = chain.waiting_since or made
            elif since is not None and made < since and one not in backdated:
                chain.earlier += 1
            else:
                chain.add("inserted", f"entry {one.hex()} is in no seal, and should be", None, one)

    async def _backdated(self, tenant: str | None, since: datetime | None) -> set[bytes]:
        """Entries that tell a moment of after sealing began under an id of before: ids are made behind that moment."""
        if since is None:
            return set()
        asked = {
            "tenant_id": _mine(tenant),
            "_id": {"$gte": _ANY_ID, "$lt": ObjectId.from_datetime(since)},
            "at": {"$gte": since + self._latest},
        }
        return {row["_id"].binary async for row in self._entries.find(asked, {"_id": 1})}

    async def _ids(self, tenant: str | None) -> AsyncIterator[bytes]:
        asked = {"tenant_id": _mine(tenant), "_id": {"$gte": _ANY_ID}}
        async for batch in self._entries.find_raw_batches(asked, {"_id": 1}, sort=[("_id", 1)], batch_size=5000):
            for one in ids_in(batch):
                yield one


def _mine(tenant: str | None) -> Document:
    return {"$eq": tenant} if tenant is not None else {"$not": {"$type": "string"}}


def _made(one: bytes) -> datetime:
    return ObjectId(one).generation_time.replace(tzinfo=None)
