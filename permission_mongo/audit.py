"""Who did what: one entry a transaction, committed with it; and what is kept of refusals and reads. No values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from bson.objectid import ObjectId

from permission_mongo.documents.differences import ABSENT, are_same
from permission_mongo.documents.paths import MADE
from permission_mongo.errors import Refusal
from permission_mongo.plans import Actor
from permission_mongo.revisions import Rewrite
from permission_mongo.schema.model import Collection, Field
from permission_mongo.values import Document, DocumentId

_MARKS: Final = frozenset({"_version", MADE})
_MOST_PATHS: Final = 20  # that are kept as they were sent
_LONGEST: Final = 200  # signs of such a path


def entry(
    actor: Actor,
    action: str,
    collection: str,
    ids: Sequence[DocumentId],
    batch: str | None = None,
    reason: str | None = None,
) -> Document:
    """The audit entry of one transaction. A `reason` stands here where no version is left to hold it."""
    kept: Document = {"_id": ObjectId(), **_about(actor, action, collection, ids, len(ids))}
    if batch is not None:
        kept["batch"] = batch
    if reason is not None:
        kept["reason"] = reason
    return kept


def refusal_entry(actor: Actor, action: str, collection: str, ids: Sequence[DocumentId], refusal: Refusal) -> Document:
    """What was refused, by its code; `paths` are the fields that it names, as they were sent."""
    about = _about(actor, action, collection, ids, len(ids))
    return {**about, "kind": "refusal", "code": refusal.code, "paths": _as_sent(_paths_in(refusal.details))}


def read_entry(
    actor: Actor, action: str, collection: str, ids: Sequence[DocumentId], count: int, paths: Iterable[str]
) -> Document:
    return {**_about(actor, action, collection, ids, count), "kind": "read", "paths": _as_sent(paths)}


def _about(actor: Actor, action: str, collection: str, ids: Sequence[DocumentId], count: int) -> Document:
    return {
        "at": actor.now,
        "tenant_id": actor.tenant,
        "user_id": actor.subject,
        "credential": actor.credential,
        "roles": list(actor.roles),
        "request_id": actor.request_id,
        "action": action,
        "collection": collection,
        "ids": list(ids),
        "count": count,
    }


def _paths_in(details: Mapping[str, Any]) -> Iterator[str]:
    fields, errors = details.get("fields"), details.get("errors")
    if isinstance(fields, list | tuple):
        yield from (one for one in fields if isinstance(one, str))
    if isinstance(errors, list | tuple):
        yield from (one["field"] for one in errors if isinstance(one, dict) and isinstance(one.get("field"), str))


def _as_sent(paths: Iterable[str]) -> list[str]:
    """BSON takes no half of a surrogate pair, which JSON can hold."""
    return [
        path[:_LONGEST].encode("utf-8", "replace").decode() for path, _ in zip(paths, range(_MOST_PATHS), strict=False)
    ]


# -- what an update changed


def changed_paths(collection: Collection, changes: Iterable[tuple[Document, Rewrite]]) -> list[str]:
    """The declared fields in which stored documents differ from what is written over them; no values.

    An array, and what is open in the schema, is named as a whole.
    """
    found: set[str] = set()
    for stored, change in changes:
        for name in (*change.fields, *change.gone):
            if name in found or name in _MARKS:
                continue
            old, new = stored.get(name, ABSENT), change.fields.get(name, ABSENT)
            found.update(_differing(old, new, name, collection.fields.get(name)))
    return sorted(found)


def _differing(old: Any, new: Any, path: str, declared: Field | None) -> Iterator[str]:
    if old is new:
        return
    inner = None if declared is None else declared.properties
    if inner and isinstance(old, dict) and isinstance(new, dict):
        for name in {**old, **new}:
            below = f"{path}.{name}" if name in inner else path
            yield from _differing(old.get(name, ABSENT), new.get(name, ABSENT), below, inner.get(name))
    elif not are_same(old, new):
        yield path
