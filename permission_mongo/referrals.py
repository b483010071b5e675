"""What a change newly refers to, as questions to be asked of other collections. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

from bson import encode

from permission_mongo.documents.parts import is_within
from permission_mongo.documents.paths import canonical
from permission_mongo.hooks import ValidateRef
from permission_mongo.prehooks import references_of_hooks
from permission_mongo.revisions import Reference, Revision, Rewrite, Wanted, questions_of
from permission_mongo.schema.model import Collection, Ref
from permission_mongo.schema.references import references_in
from permission_mongo.values import CODEC, Document, DocumentId

Changed = tuple[Document, Rewrite]  # a document as it is stored, and what is written of it


def new_references(revision: Revision, changed: Mapping[int, Changed]) -> tuple[Reference, ...]:
    """What documents, by their index, refer to at a path where they did not before; the rest is not looked at again.

    One entry a question to be asked. `revision` is any of theirs: what may be referred to is the caller's.
    """
    own = revision.collection.tenant_field
    found = (
        (change.fields.get(own, stored.get(own)) if own else None, ref, Wanted(index, place, ref.collection, one, told))
        for index, (stored, change) in changed.items()
        for place, ref, one, told in (
            *((*one, None) for one in _new_in(stored, change, revision.collection)),
            *_new_of_hooks(stored, change, revision.pre.refs if revision.pre else ()),
        )
    )
    return questions_of(revision.referable, found)


def _new_of_hooks(
    stored: Document, change: Rewrite, refs: tuple[ValidateRef, ...]
) -> Iterator[tuple[str, Ref, DocumentId, str]]:
    before = {(canonical(place), _told(one)) for place, _, one in references_of_hooks(stored, refs)}
    for place, ref, one in references_of_hooks(change.fields, refs):
        if (canonical(place), _told(one)) not in before or is_within(place, change.blind):
            yield place, Ref(ref.collection), one, ref.message


def _new_in(stored: Document, change: Rewrite, collection: Collection) -> Iterator[tuple[str, Ref, DocumentId]]:
    """What is sent to a place that the caller does not read counts in any case: else an equal guess would tell."""
    found = list(references_in(change.fields, collection))
    if not found:
        return
    before = {(canonical(place), ref, _told(one)) for place, ref, one in references_in(stored, collection)}
    for place, ref, one in found:
        if (canonical(place), ref, _told(one)) not in before or is_within(place, change.blind):
            yield place, ref, one


def _told(one: Any) -> Hashable:
    """A stored reference to compare: another writer may have left an object there, which is no document's id."""
    return one if isinstance(one, Hashable) else encode({"": one}, codec_options=CODEC)
