"""A batch's items worked off in transactions: one where it goes, several smaller ones where it does not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeVar

from pymongo.errors import PyMongoError

from permission_mongo.batch import Bound, quarters, without
from permission_mongo.errors import Conflict, InvalidRequest, PayloadTooLarge, Refusal
from permission_mongo.storage.faults import told_or_raised
from permission_mongo.storage.transactions import Contended, Late, Lost
from permission_mongo.values import DocumentId

T = TypeVar("T", bound=Hashable)
Ids = Sequence[DocumentId]
# One transaction of these items; True where no other comes after it.
Attempt = Callable[[Sequence[T], bool], Awaitable[None]]
# The refusal of all, for items of an atomic batch that can't be done.
Whole = Callable[[Mapping[T, Refusal]], Refusal]
DUPLICATE_TOLD: Final = "a document with this key exists"
_TAKEN_OUT_ONE_BY_ONE: Final = 8
_TRIES: Final = 2  # of a part, before it is split
_TRIES_OF_ONE: Final = 12
_TRIES_OF_ALL: Final = 10_000  # the deadline ends it


class TooMuch(Exception):
    """More bytes than one transaction may hold."""


class Unfit(Exception):
    """These items can't be done, each for its reason; the others may be."""

    names_all: bool = True

    def __init__(self, failed: Mapping[Any, Refusal]) -> None:
        super().__init__()
        self.failed = failed


class KeyExists(Unfit):
    """The write of one item would make a second document with its key. Of several such one is named."""

    names_all = False

    def __init__(self, item: Any, told: str = DUPLICATE_TOLD) -> None:
        super().__init__({item: Conflict(told)})


@dataclass(slots=True)
class Progress(Generic[T]):
    """How far a batch has come. `same` are items that were so before; `failed` were visible and are not done.

    `more` is where a filter's next chunk begins; `is_job` says that there is a record of it as a job.
    """

    done: list[T] = field(default_factory=list)
    same: list[T] = field(default_factory=list)
    failed: dict[T, Refusal] = field(default_factory=dict)
    stopped: Refusal | None = None
    more: Bound | None = None
    is_job: bool = False

    @property
    def met(self) -> int:
        """The items that are as asked now."""
        return len(self.done) + len(self.same)

    def add(self, other: Progress[T]) -> None:
        self.done += other.done
        self.same += other.same
        self.failed |= other.failed

    def with_(self, other: Progress[T]) -> Progress[T]:
        """The same, as if `other` were all that is still to come."""
        failed = {**self.failed, **other.failed}
        return Progress(
            [*self.done, *other.done], [*self.same, *other.same], failed, self.stopped, self.more, self.is_job
        )

    def missing_of(self, expected: Sequence[T] | None) -> tuple[T, ...]:
        """Those asked for that are not there."""
        if expected is None or self.stopped is not None:
            return ()
        if len(self.done) + len(self.same) + len(self.failed) == len(expected):
            return ()  # each of them is one that was asked for, once
        return without(expected, [*self.done, *self.same, *self.failed])


async def in_parts(
    items: Sequence[T], attempt: Attempt[T], progress: Progress[T], whole: Whole[T] | None, *, last: bool
) -> None:
    """One transaction, or, after a conflict or too many bytes, several smaller ones. `last`: no items come after.

    A key that exists takes its item out and the rest runs again: so one by one a few times, then in parts. `whole` is
    of an atomic batch, which is done as one or not at all.
    """
    waiting: list[tuple[Sequence[T], int]] = [(items, _TAKEN_OUT_ONE_BY_ONE)]
    while waiting:
        part, takes = waiting.pop(0)
        try:
            await attempt(part, last and not waiting)
        except Unfit as error:
            if whole is not None:
                raise whole(error.failed) from error
            waiting = [*_without_unfit(part, takes, error, progress), *waiting]
        except (Contended, TooMuch) as error:
            if whole is not None:
                raise whole_refusal(error) from error
            if len(part) > 1:
                waiting = [*_smaller(part), *waiting]
            else:
                progress.failed[part[0]] = whole_refusal(error)
        except (PyMongoError, Late, Lost, InvalidRequest) as error:
            progress.stopped = told_or_raised(error, after_some=bool(progress.done) or progress.is_job)
            return


def _without_unfit(part: Sequence[T], takes: int, error: Unfit, progress: Progress[T]) -> list[tuple[Sequence[T], int]]:
    if not (error.names_all or takes > 0 or len(part) == 1):
        return _smaller(part)
    progress.failed |= error.failed
    rest = without(part, error.failed)
    return [(rest, takes if error.names_all else takes - 1)] if rest else []


def _smaller(part: Sequence[T]) -> list[tuple[Sequence[T], int]]:
    return [(one, _TAKEN_OUT_ONE_BY_ONE) for one in quarters(part)]


def tries(part: Sequence[Any], *, atomic: bool) -> int:
    """How often a transaction of these is tried, before it is split or given up."""
    return _TRIES_OF_ALL if atomic else _TRIES if len(part) > 1 else _TRIES_OF_ONE


def whole_refusal(error: Exception) -> Refusal:
    if isinstance(error, TooMuch):
        return PayloadTooLarge("too many bytes for one transaction")
    return Conflict("others changed the same documents at the same time; try again")


def first_refusal(failed: Mapping[Any, Refusal], told: str, by: Literal["id", "index"] = "id") -> Refusal:
    """Of an atomic batch: the first item's refusal, and all of them, in the order asked."""
    first = next(iter(failed.values()))
    entries = [{by: one, "error": refusal.as_entry()} for one, refusal in failed.items()]
    return type(first)(f"{told}: {first.message}", **first.details, failed=entries)
