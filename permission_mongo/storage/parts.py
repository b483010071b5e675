"""A batch's items worked off in transactions: one where it goes, several smaller ones where it does not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pymongo.errors import PyMongoError

from permission_mongo.batch import Bound, quarters, without
from permission_mongo.errors import Conflict, InvalidRequest, PayloadTooLarge, Refusal
from permission_mongo.storage.faults import told_or_raised
from permission_mongo.storage.transactions import Contended, Late, Lost
from permission_mongo.values import DocumentId

Ids = Sequence[DocumentId]
# One transaction of these ids; True where no other comes after it.
Attempt = Callable[[Ids, bool], Awaitable[None]]
_TAKEN_OUT_ONE_BY_ONE: Final = 8
_TRIES: Final = 2  # of a part, before it is split
_TRIES_OF_ONE: Final = 12
_TRIES_OF_ALL: Final = 10_000  # the deadline ends it


class TooMuch(Exception):
    """More bytes than one transaction may hold."""


class KeyExists(Exception):
    """The write of one item would make a second document with its key."""

    def __init__(self, id: DocumentId) -> None:
        super().__init__()
        self.id = id


@dataclass(slots=True)
class Progress:
    """How far a batch has come. `same` are items that were so before; `failed` were visible and are not done.

    `more` is where a filter's next chunk begins; `is_job` says that there is a record of it as a job.
    """

    done: list[DocumentId] = field(default_factory=list)
    same: list[DocumentId] = field(default_factory=list)
    failed: dict[DocumentId, Refusal] = field(default_factory=dict)
    stopped: Refusal | None = None
    more: Bound | None = None
    is_job: bool = False

    @property
    def met(self) -> int:
        """The items that are as asked now."""
        return len(self.done) + len(self.same)

    def add(self, other: Progress) -> None:
        self.done += other.done
        self.same += other.same
        self.failed |= other.failed

    def with_(self, other: Progress) -> Progress:
        """The same, as if `other` were all that is still to come."""
        failed = {**self.failed, **other.failed}
        return Progress(
            [*self.done, *other.done], [*self.same, *other.same], failed, self.stopped, self.more, self.is_job
        )

    def missing_of(self, expected: Ids | None) -> tuple[DocumentId, ...]:
        """Those asked for that are not there."""
        if expected is None or self.stopped is not None:
            return ()
        return without(expected, [*self.done, *self.same, *self.failed])


async def in_parts(ids: Ids, attempt: Attempt, progress: Progress, *, atomic: bool, last: bool) -> None:
    """One transaction, or, after a conflict or too many bytes, several smaller ones. `last`: no ids come after.

    A key that exists takes its item out and the rest runs again: so one by one a few times, then in parts.
    """
    waiting: list[tuple[Ids, int]] = [(ids, _TAKEN_OUT_ONE_BY_ONE)]
    while waiting:
        part, takes = waiting.pop(0)
        try:
            await attempt(part, last and not waiting)
        except KeyExists as error:
            if atomic or takes > 0 or len(part) == 1:
                _take_out(error, progress, atomic=atomic)
                rest = without(part, [error.id])
                waiting = [(rest, takes - 1), *waiting] if rest else waiting
            else:
                waiting = [*_smaller(part), *waiting]
        except (Contended, TooMuch) as error:
            if atomic:
                raise whole_refusal(error) from error
            if len(part) > 1:
                waiting = [*_smaller(part), *waiting]
            else:
                progress.failed[part[0]] = whole_refusal(error)
        except (PyMongoError, Late, Lost, InvalidRequest) as error:
            progress.stopped = told_or_raised(error, after_some=bool(progress.done) or progress.is_job)
            return


def _smaller(part: Ids) -> list[tuple[Ids, int]]:
    return [(one, _TAKEN_OUT_ONE_BY_ONE) for one in quarters(part)]


def _take_out(error: KeyExists, progress: Progress, *, atomic: bool) -> None:
    refusal = Conflict("a document with this key exists")
    if atomic:
        raise first_refusal({error.id: refusal}, "nothing was changed") from error
    progress.failed[error.id] = refusal


def tries(part: Ids, *, atomic: bool) -> int:
    """How often a transaction of these is tried, before it is split or given up."""
    return _TRIES_OF_ALL if atomic else _TRIES if len(part) > 1 else _TRIES_OF_ONE


def whole_refusal(error: Exception) -> Refusal:
    if isinstance(error, TooMuch):
        return PayloadTooLarge("too many bytes for one transaction")
    return Conflict("others changed the same documents at the same time; try again")


def first_refusal(failed: Mapping[DocumentId, Refusal], told: str) -> Refusal:
    """Of an atomic batch: the first item's refusal, and all of them, in the order asked."""
    first = next(iter(failed.values()))
    entries = [{"id": one, "error": refusal.as_entry()} for one, refusal in failed.items()]
    return type(first)(f"{told}: {first.message}", **first.details, failed=entries)
