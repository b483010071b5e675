"""Which values of a collection are dates, ids or decimals, by the gateway's own description of it (OpenAPI)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from permission_mongo.client.call import Answer
from permission_mongo.client.errors import Unsendable
from permission_mongo.client.json import Reader, Types

_READERS: Final[Mapping[str, Reader]] = {"Date": datetime, "Uuid": UUID, "Decimal": Decimal}
_DEEPEST: Final = 64


def types_of(collection: str, object_id: Reader) -> Callable[[Any, Answer], Types]:
    """What reads the description's answer: the readers of the collection's values by their dotted paths.

    `object_id` makes an ObjectId of its text: `bson.ObjectId`, which this package does not import, or `str`.
    """
    readers = {**_READERS, "ObjectId": object_id}

    def read(body: Any, answer: Answer) -> Types:
        try:
            shape = body["components"]["schemas"][f"{collection}.Document"]
        except (LookupError, TypeError):
            raise Unsendable(f"the gateway describes no collection {collection!r} to this caller") from None
        return dict(_found(shape, "", readers, 0))

    return read


def _found(shape: Any, path: str, readers: Mapping[str, Reader], depth: int) -> Iterator[tuple[str, Reader]]:
    if not isinstance(shape, dict) or depth > _DEEPEST:
        return
    kind = str(shape.get("$ref", "")).rpartition("/")[2]
    if kind in readers:
        yield path, readers[kind]
    inner = [*_list(shape.get("anyOf")), shape.get("items")]
    for one in inner:
        yield from _found(one, path, readers, depth + 1)
    below = shape.get("properties")
    for name, one in below.items() if isinstance(below, dict) else ():
        yield from _found(one, f"{path}.{name}" if path else name, readers, depth + 1)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
