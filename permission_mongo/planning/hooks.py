"""The hooks of a collection, bound to who asks."""

from __future__ import annotations

from permission_mongo.hooks import Event
from permission_mongo.planning.callers import Asking, Callers
from permission_mongo.prehooks import Pre, bound
from permission_mongo.schema.model import Collection


def pre_hooks(
    collection: Collection, event: Event, asking: Asking, callers: Callers, *, rehearses: bool = False
) -> Pre:
    steps = callers.config.hooks_of(collection.name).pre.get(event, ())
    return Pre(collection, bound(steps, asking.bindings()) if steps else (), rehearses, asking.asked)
