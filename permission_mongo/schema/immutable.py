"""What may be set once, and was."""

from __future__ import annotations

from collections.abc import Iterator

from permission_mongo.documents.differences import values_at
from permission_mongo.documents.numbers import are_equal
from permission_mongo.documents.paths import is_position
from permission_mongo.schema.model import Collection
from permission_mongo.schema.validate import FieldError
from permission_mongo.values import Document


def set_twice(stored: Document, new: Document, names: set[str], collection: Collection) -> Iterator[FieldError]:
    """Fields that may be set once and were: in objects by their path, in arrays by their position, vectors whole."""
    for path in collection.immutable():
        if path[0] not in names:
            continue
        after = dict(values_at(new, path, ""))
        places = [
            place
            for place, value in values_at(stored, path, "")
            if value is not None and not (place in after and are_equal(value, after[place]))
        ]
        if collection.is_vector(".".join(path)):
            places = [*dict.fromkeys(map(_without_position, places))]
        yield from (FieldError(place, "immutable", "can't be changed once it is set") for place in places)


def _without_position(place: str) -> str:
    above, _, last = place.rpartition(".")
    return above if is_position(last) else place
