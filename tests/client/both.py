"""Both clients behind one face, so that one test is of both; it notes which methods were called."""

from __future__ import annotations

from inspect import isawaitable
from typing import Any

from permission_mongo.client import AsyncClient, AsyncCollection, AsyncCursor, Client, Collection, Cursor

CLIENTS = (Client, AsyncClient)
COLLECTIONS = (Collection, AsyncCollection)


class Face:
    """Every method is awaited, whichever client it is of."""

    def __init__(self, inner: Any, noted: set[str]) -> None:
        self._inner, self._noted = inner, noted

    def __getitem__(self, name: str) -> Face:
        return Face(self._inner[name], self._noted)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        self._noted.add(f"{type(self._inner).__name__}.{name}")

        async def ask(*given: Any, **named: Any) -> Any:
            found = method(*given, **named)
            found = await found if isawaitable(found) else found
            return Face(found, self._noted) if isinstance(found, CLIENTS + COLLECTIONS) else found

        return ask


async def rows(cursor: Cursor | AsyncCursor) -> list[dict[str, Any]]:
    return [one async for one in cursor] if isinstance(cursor, AsyncCursor) else list(cursor)


def methods_of(kind: type) -> set[str]:
    """What is public of it, properties apart."""
    return {f"{kind.__name__}.{name}" for name, one in vars(kind).items() if callable(one) and not name.startswith("_")}
