"""Each kind of write, what it needs to be there before, and how often it has taken effect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pymongo.database import Database

from tests.faults.processes import GatewayProcess

_MANY = 20
Asking = tuple[str, str, dict | None]  # method, path, body


@dataclass(frozen=True)
class Write:
    """`ready` makes what is written and says how to ask; `effects` counts: 0 or 1, and -1 for anything in between."""

    name: str
    ready: Callable[[GatewayProcess, str], Asking]
    effects: Callable[[Database, str], int]
    is_batch: bool = False

    def __str__(self) -> str:
        return self.name


@contextmanager
def many(count: int) -> Iterator[None]:
    """Batches of so many documents, within."""
    global _MANY
    before, _MANY = _MANY, count
    try:
        yield
    finally:
        _MANY = before


def _add(gateway: GatewayProcess, group: str, count: int) -> list[str]:
    ids = [f"{group}-{n}" for n in range(count)]
    documents = [{"_id": one, "title": group, "age": 0} for one in ids]
    status, told = gateway.ask("POST", "/notes/batch", {"documents": documents})
    assert status == 201, told
    return ids


def _create(_: GatewayProcess, group: str) -> Asking:
    return "POST", "/notes", {"title": group}


def _create_many(_: GatewayProcess, group: str) -> Asking:
    return "POST", "/notes/batch", {"documents": [{"title": group} for _ in range(_MANY)]}


def _update(gateway: GatewayProcess, group: str) -> Asking:
    return "PATCH", f"/notes/{_add(gateway, group, 1)[0]}", {"$inc": {"age": 1}}


def _delete(gateway: GatewayProcess, group: str) -> Asking:
    return "DELETE", f"/notes/{_add(gateway, group, 1)[0]}", None


def _delete_many(gateway: GatewayProcess, group: str) -> Asking:
    return "DELETE", "/notes/batch", {"ids": _add(gateway, group, _MANY)}


def _update_many(gateway: GatewayProcess, group: str) -> Asking:
    return "PUT", "/notes/batch", {"ids": _add(gateway, group, _MANY), "update": {"$inc": {"age": 1}}}


def _undo(gateway: GatewayProcess, group: str) -> Asking:
    status, told = gateway.ask(*_delete_many(gateway, group))
    assert status == 200, told
    return "POST", f"/notes/batch/{told['batch']}/undo", {}


def _undo_of_create(gateway: GatewayProcess, group: str) -> Asking:
    status, told = gateway.ask(*_create_many(gateway, group))
    assert status == 201, told
    return "POST", f"/notes/batch/{told['batch']}/undo", {}


def _whole(count: int, of: int) -> int:
    """All of it is an effect, nothing is none; several times all of it, so many."""
    return count // of if count % of == 0 else -1


def _rows(database: Database, group: str, **more: object) -> list[dict]:
    return list(database["notes"].find({"title": group, **more}))


def _records(database: Database, group: str, **more: object) -> int:
    return database["_pm_versions"].count_documents({"data.title": group, **more})


def _created(of: Callable[[], int]) -> Callable[[Database, str], int]:
    return lambda database, group: _whole(len(_rows(database, group)), of())


def _updated(database: Database, group: str) -> int:
    """The counter, if the number and the states kept say the same."""
    row = _rows(database, group)[0]
    alike = row["age"] == row["_version"] - 1 == _records(database, group)
    return row["age"] if alike else -1


def _updated_many(database: Database, group: str) -> int:
    rows = _rows(database, group)
    alike = _records(database, group) == sum(row["age"] for row in rows) == sum(row["_version"] - 1 for row in rows)
    return _whole(sum(row["age"] for row in rows), _MANY) if alike and len(rows) == _MANY else -1


def _deleted(of: Callable[[], int]) -> Callable[[Database, str], int]:
    """What is gone, if as much is kept as its end."""

    def effects(database: Database, group: str) -> int:
        gone = of() - len(_rows(database, group))
        return _whole(gone, of()) if _records(database, group, gone=True) == gone else -1

    return effects


def _restored(database: Database, group: str) -> int:
    rows = _rows(database, group)
    alike = _records(database, group, gone=True) == _MANY - len(rows) and all(row["_version"] == 3 for row in rows)
    return _whole(len(rows), _MANY) if alike else -1


WRITES = (
    Write("create", _create, _created(lambda: 1)),
    Write("update", _update, _updated),
    Write("delete", _delete, _deleted(lambda: 1)),
    Write("batch create", _create_many, _created(lambda: _MANY), True),
    Write("batch update", _update_many, _updated_many, True),
    Write("batch delete", _delete_many, _deleted(lambda: _MANY), True),
    Write("undo", _undo, _restored, True),
    Write("undo of a create", _undo_of_create, _deleted(lambda: _MANY), True),
)
