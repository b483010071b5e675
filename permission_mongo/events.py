"""What receivers are told of a write: one event a document and receiver, made with the write. Pure.

An event names the document and holds no content of it, beside the fields that the hook itself is granted: whoever
receives it is no caller, and no rule of a caller says what it may see.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from permission_mongo.documents.differences import ABSENT, are_same
from permission_mongo.documents.parts import value_at
from permission_mongo.documents.paths import Path
from permission_mongo.hooks import Event, Post, Receiver
from permission_mongo.plans import Actor, Target
from permission_mongo.values import Document, DocumentId, date_text, write_json
from permission_mongo.versions import number_of, tenant_of

MOST_VALUES: Final = 64 * 1024  # bytes of one event's values
_TYPES: Final[dict[Event, str]] = {
    "create": "document.created",
    "update": "document.updated",
    "delete": "document.deleted",
}

# A document before and after a write; None where there was or is none.
State = tuple[Document | None, Document | None]


@dataclass(frozen=True, slots=True)
class Told:
    """What one receiver is told. Those of one `line` are told in the order of their writes, one after the other.

    `content` is the body but for the id, which the outbox gives.
    """

    hook: str
    kind: str
    line: tuple[Any, ...]
    content: Document
    collection: str | None = None
    document: DocumentId | None = None
    tenant: Any = None


def events_of(
    states: Iterable[State], action: str, target: Target, actor: Actor, batch: str | None = None
) -> Iterator[Told]:
    """The events of one transaction, for every receiver of each."""
    for before, after in states:
        event: Event = "create" if before is None else "delete" if after is None else "update"
        for post in target.posts.of(event):
            yield _told(post, event, (before, after), (action, batch), target, actor)


def _told(post: Post, event: Event, state: State, done: tuple[str, str | None], target: Target, actor: Actor) -> Told:
    before, after = state
    shown: Document = after if after is not None else before or {}
    tenant = tenant_of(shown, target.tenant_field)
    action, batch = done
    content: Document = {
        "type": _TYPES[event],
        "collection": target.collection,
        "document": shown["_id"],
        "version": number_of(shown) if "_version" in shown else None,
        "action": action,
        "at": date_text(actor.now),
        "by": actor.subject,
        "tenant": tenant,
        "request": actor.request_id,
        "batch": batch,
        **granted(before or {}, after or {}, shown, post.fields),
    }
    line = (post.address, target.collection, tenant, shown["_id"])
    return Told(post.name, _TYPES[event], line, content, target.collection, shown["_id"], tenant)


def granted(before: Document, after: Document, shown: Document, fields: Sequence[Path]) -> Document:
    """Of the fields that were granted: which changed, and what they are now, of a deletion what they were."""
    if not fields:
        return {}
    changed = [
        ".".join(path) for path in fields if not are_same(value_at(before, list(path)), value_at(after, list(path)))
    ]
    values = {".".join(path): value_at(shown, list(path)) for path in fields}
    values = {path: value for path, value in values.items() if value is not ABSENT}
    if len(write_json(values)) > MOST_VALUES:
        return {"changed": changed, "values": None}
    return {"changed": changed, "values": values}


def told_of_audit(receiver: Receiver, entry: Document) -> Told:
    """An entry of the audit. They are told in no order: each tells when it was."""
    about = {name: value for name, value in entry.items() if name != "_id"}
    content = {"type": "audit.entry", "entry": str(entry["_id"]), **about, "at": date_text(entry["at"])}
    line = (receiver.address, entry["_id"])
    return Told(receiver.name, "audit.entry", line, content, tenant=entry["tenant_id"])
