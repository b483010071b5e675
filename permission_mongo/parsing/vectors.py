"""Changes that set a vector where there is none and never another one, for an API whose updates change no vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from permission_mongo.operations import Alike, ByFilter, UpdateMany
from permission_mongo.parsing.batches import read_update_many
from permission_mongo.parsing.ids import Fresh
from permission_mongo.query.limits import Limits
from permission_mongo.schema.model import Collection
from permission_mongo.values import write_json

# By this key, which no route takes, work that outlives its request is known to be of such a change.
FIXED: Final = "vectors_fixed"


@lru_cache(maxsize=1024)
def with_vectors_fixed(collection: Collection) -> Collection:
    """The same, but what is a vector at the top is set once: there a write makes them, and no change."""
    fixed = {
        name: replace(one, immutable=True) if one.type == "vector" else one for name, one in collection.fields.items()
    }
    return collection if fixed == collection.fields else replace(collection, fields=fixed)


def read_update_beside_vectors(
    asked: Mapping[str, Any], collection: Collection, limits: Limits, fresh: Fresh
) -> UpdateMany:
    """As `read_update_many`, and read again as this."""
    rest = {key: value for key, value in asked.items() if key != FIXED}
    found = read_update_many(write_json(rest), with_vectors_fixed(collection), limits, fresh)
    match found.edits:
        case Alike(ByFilter(query), change):
            kept = ByFilter(query, write_json({**rest, FIXED: True}))
            return replace(found, edits=Alike(kept, change))
        case _:
            return found
