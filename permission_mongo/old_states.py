"""An old state over the present one -> what is stored again, and what it refers to. Pure.

One rule must do it all, as for an update: its rows hold on both states, and its check on what comes of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from permission_mongo.documents.parts import written_over
from permission_mongo.documents.paths import Path, touches
from permission_mongo.documents.sizes import encoded
from permission_mongo.errors import Forbidden
from permission_mongo.policy.evaluate import holds, verdict
from permission_mongo.prehooks import references_of_hooks
from permission_mongo.revisions import Again, Reference, Wanted, Writer, questions_of
from permission_mongo.schema.model import Ref
from permission_mongo.schema.references import references_in
from permission_mongo.values import Document


def stored_again(again: Again, present: Document, old: Document) -> Document:
    """The old state over the present one, of which stays what the rule that lets it be restored may not write.

    Forbidden where no rule does; its rows must hold on both, and its check on what comes of them.
    """
    barred = frozenset[Path]().union(*(one.paths for one in again.hiding if verdict(one.when, present) is not False))
    for writer in again.writers:
        if not (holds(writer.rows, present) and holds(writer.rows, old)):
            continue
        new = _mixed(present, old, again, partial(_may, writer, barred))
        if holds(writer.check, new):
            encoded(new, again.max_document_bytes)
            return new
    message = "no rule of your roles allows restoring this document"
    raise Forbidden(message, action="restore", collection=again.collection.name)


def _mixed(present: Document, old: Document, again: Again, may: Callable[[Path], bool]) -> Document:
    """What was hidden in the old state comes back only where it is as hidden then: what hid it may be what stays."""
    new, reach = written_over(present, old, may), again.lens.reach
    if reach.speaks_for(new) == reach.speaks_for(old):
        return new
    was_raw = reach.raw_in(old)
    return written_over(present, old, lambda path: may(path) and was_raw(path))


def _may(writer: Writer, barred: frozenset[Path], path: Path) -> bool:
    return writer.writes(path) and not touches(path, barred)


def all_references(documents: Iterable[Document], again: Again) -> tuple[Reference, ...]:
    """What documents that are stored again refer to, by their places: all of it, as for new ones."""
    collection = again.collection
    own = collection.tenant_field
    hooks = again.refs
    found = (
        (document.get(own) if own else None, ref, Wanted(index, place, ref.collection, one, told))
        for index, document in enumerate(documents)
        for place, ref, one, told in (
            *((place, ref, one, None) for place, ref, one in references_in(document, collection)),
            *(
                (place, Ref(ref.collection), one, ref.message)
                for place, ref, one in references_of_hooks(document, hooks)
            ),
        )
    )
    return questions_of(again.referable, found)
