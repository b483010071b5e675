"""How much callers may ask in a time: token buckets in this process's memory, one an address and one a principal.

A bucket holds what comes in during `burst` and is full at first. What is asked takes of it at once; what was done can
only be known afterwards and is owed. Nothing here waits, so that no two requests can be counted as one.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import lru_cache
from ipaddress import ip_address
from time import monotonic
from typing import Final, Literal, NamedTuple

from permission_mongo.errors import InvalidRequest, RateLimited, Refusal
from permission_mongo.operations import (
    Alike,
    ByFilter,
    ByIds,
    ByTags,
    CreateMany,
    DeleteMany,
    Each,
    GetMany,
    Operation,
    Undo,
    UpdateMany,
)
from permission_mongo.outcomes import BatchOutcome
from permission_mongo.principal import Principal
from permission_mongo.query.limits import Rate

MOST: Final = 50_000  # buckets of one process, some 15 MB
_NETWORK: Final = 64  # the bits of an IPv6 address that its holder does not choose freely
_ROUNDING: Final = 1e-3  # of an item: sums of parts of seconds are not exact


class Payer(NamedTuple):
    """Whose bucket: it gets `per_second` items and holds `most` of them. A tuple is made in a third of the time."""

    kind: Literal["address", "principal"]
    key: Hashable
    per_second: float
    most: float


def paying_address(rate: Rate, address: str | None) -> tuple[Payer, ...]:
    """None where addresses have no rate. Those that are not told, as of a Unix socket, are one."""
    if rate.per_address is None:
        return ()
    return (Payer("address", network_of(address or ""), rate.per_address, rate.per_address * rate.burst),)


def paying_principal(rate: Rate, who: Principal) -> tuple[Payer, ...]:
    if rate.per_principal is None:
        return ()
    return (Payer("principal", who.whom, rate.per_principal, rate.per_principal * rate.burst),)


@lru_cache(1024)
def network_of(address: str) -> str:
    """The address itself; of IPv6 its /64, which one caller has whole."""
    if ":" not in address:
        return address
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    inner = found.ipv4_mapped
    return str(inner) if inner is not None else f"{int(found) >> (128 - _NETWORK):x}/{_NETWORK}"


class _Bucket:
    """What is `left` of it as of the moment `at`; less than nothing where something is owed."""

    __slots__ = ("at", "left")

    def __init__(self, left: float, at: float) -> None:
        self.left = left
        self.at = at


class Rates:
    """The buckets in use. Of more than `most` those not used for longest are forgotten, and so full again."""

    def __init__(self, most: int = MOST, clock: Callable[[], float] = monotonic) -> None:
        self._most = most
        self._clock = clock
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def charge(self, payers: Sequence[Payer], cost: int, before: int = 0) -> None:
        """Take `cost` of each, or RateLimited and of none.

        `before` is what this request has paid already, and would pay again: InvalidRequest where both together are
        more than a bucket ever holds.
        """
        buckets = [self._bucket(payer) for payer in payers]
        asked = cost + before
        for payer, bucket in zip(payers, buckets, strict=True):
            if bucket.left + _ROUNDING < cost or payer.most + _ROUNDING < asked:
                raise _too_much(payers, buckets, cost, asked)
        for bucket in buckets:
            bucket.left -= cost

    def owe(self, payers: Iterable[Payer], cost: int) -> None:
        """Take what was done already, down to one whole bucket below nothing: no work shuts anybody out for long."""
        for payer in payers:
            bucket = self._bucket(payer)
            bucket.left = max(bucket.left - cost, -payer.most)

    def _bucket(self, payer: Payer) -> _Bucket:
        """With what came in since it was used last."""
        now, key = self._clock(), (payer.kind, payer.key)
        found = self._buckets.get(key)
        if found is None:
            found = self._buckets[key] = _Bucket(payer.most, now)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
            return found
        self._buckets.move_to_end(key)
        found.left = min(payer.most, found.left + (now - found.at) * payer.per_second)
        found.at = now
        return found


def _too_much(payers: Sequence[Payer], buckets: Sequence[_Bucket], cost: int, asked: int) -> Refusal:
    smallest = min(payer.most for payer in payers)
    if asked > smallest + _ROUNDING:
        message = f"limits.rate lets at most {int(smallest)} items through at once; ask for fewer"
        return InvalidRequest(message, most_at_once=int(smallest), requested=asked)
    short = [(payer, one.left) for payer, one in zip(payers, buckets, strict=True) if one.left + _ROUNDING < cost]
    wait, whose = max((math.ceil((asked - left) / payer.per_second), payer.kind) for payer, left in short)
    return RateLimited(f"too much at once of this {whose}; try again in {wait} s", retry_after=max(1, wait))


# -- what things cost


def cost_of(operation: Operation) -> int:
    """The items it names; 1 for all that names none."""
    match operation:
        case CreateMany(sent=items) | GetMany(ids=items) | UpdateMany(edits=Each(items)):
            return len(items)
        case UpdateMany(edits=Alike(selection=ByIds(items))) | DeleteMany(selection=ByIds(items)):
            return len(items)
        case DeleteMany(selection=ByTags(tags)):
            return len(tags)
        case _:
            return 1


def owed_for(operation: Operation, outcome: object) -> int:
    """What it touched beyond the one that it cost: of a filter and of an undo only the outcome tells."""
    if not isinstance(outcome, BatchOutcome) or not _is_open(operation):
        return 0
    return max(0, outcome.met + len(outcome.failed) + outcome.unlisted - 1)


def _is_open(operation: Operation) -> bool:
    match operation:
        case Undo() | DeleteMany(selection=ByFilter()) | UpdateMany(edits=Alike(selection=ByFilter())):
            return True
        case _:
            return False
