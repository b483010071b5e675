"""What the audit keeps of a read: the documents by their ids, the question by its paths, and no value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from permission_mongo.auditing import ListAudit
from permission_mongo.operations import (
    Aggregate,
    Compare,
    CountMany,
    GetAsOf,
    GetMany,
    GetOne,
    GetVersion,
    ListAsOf,
    ListMany,
    ListVersions,
    Operation,
    Reading,
    Service,
)
from permission_mongo.planning.showing import Shown, ShownCount, ShownMany, ShownPage, ShownRows
from permission_mongo.values import DocumentId

_MOST_IDS: Final = 50


@dataclass(frozen=True, slots=True)
class Noted:
    """`ids` are the first that were shown, `count` how many there were, `paths` what the question names."""

    action: str
    collection: str
    ids: tuple[DocumentId, ...]
    count: int
    paths: tuple[str, ...]


def noted_of(operation: Operation | Service, shown: Shown) -> Noted | None:
    """None for what is no read, and for a look at one's jobs."""
    match operation:
        case GetOne(id=one) | GetAsOf(id=one) | ListVersions(id=one) | GetVersion(id=one) | Compare(id=one):
            return Noted("read", operation.collection.name, (one,), 1, _paths(operation))
        case ListAudit():
            return Noted("audit", "", (), _count(shown), ())
        case Aggregate():
            return Noted("aggregate", operation.collection.name, (), _count(shown), _paths(operation))
        case _ if isinstance(operation, Reading):
            return Noted("read", operation.collection.name, _ids(shown), _count(shown), _paths(operation))
        case _:
            return None


def _ids(shown: Shown) -> tuple[DocumentId, ...]:
    documents: Iterable[Any] = shown.documents if isinstance(shown, ShownPage | ShownMany) else ()
    return tuple(one["_id"] for one in islice(documents, _MOST_IDS))


def _count(shown: Shown) -> int:
    match shown:
        case ShownPage() | ShownMany():
            return len(shown.documents)
        case ShownRows(rows):
            return len(rows)
        case ShownCount(count):
            return count
        case _:
            return 1


def _paths(operation: Operation) -> tuple[str, ...]:
    match operation:
        case ListMany(query=query, sort=sort, fields=fields):
            return _sorted(query.paths, () if sort is None else sort.paths, fields or ())
        case ListAsOf(query=query, fields=fields):
            return _sorted(query.paths, fields or ())
        case CountMany(query=query):
            return _sorted(query.paths)
        case Aggregate(pipeline=pipeline):
            return _sorted(pipeline.paths)
        case GetOne(fields=fields) | GetMany(fields=fields) | GetAsOf(fields=fields):
            return _sorted(fields or ())
        case _:
            return ()


def _sorted(*paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({path for some in paths for path in some}))
