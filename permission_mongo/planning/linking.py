"""Which blobs of what was read the caller is shown raw, and the same answer with their addresses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from permission_mongo.blobs import Blob, Place, Stored
from permission_mongo.outcomes import Found, Gathered, Outcome, Page
from permission_mongo.planning.showing import Revealed, Shown, ShownDocument, ShownMany, ShownPage
from permission_mongo.plans import GetManyPlan, ListPlan, Plan, ReadPlan
from permission_mongo.policy.grants import Lens
from permission_mongo.schema.model import OF_BLOBS
from permission_mongo.values import Document, DocumentId

Links = Mapping[tuple[DocumentId, str], str]


def places_of(plan: Plan, outcome: Outcome, fields: Iterable[str]) -> tuple[Place, ...]:
    """Of the `fields` those that are raw in their row, whole: a caller who sees a part of one is given no bytes."""
    match plan, outcome:
        case ReadPlan(), Found(document):
            return tuple(_places(plan.lens, (document,), fields))
        case ListPlan(), Page(documents=documents):
            return tuple(_places(plan.lens, documents, fields))
        case GetManyPlan(), Gathered(documents=documents):
            return tuple(_places(plan.lens, documents, fields))
        case _:
            raise AssertionError(f"{type(plan).__name__} shows no blobs")


def _places(lens: Lens, documents: Iterable[Document], fields: Iterable[str]) -> Iterable[Place]:
    names = tuple(fields)
    for document in documents:
        if not any(name in document for name in names):
            continue
        is_raw = lens.reach.raw_in(document)
        for name in names:
            blob = Blob.of(document.get(name))
            if blob is not None and is_raw((name,)) and all(is_raw((name, part)) for part in OF_BLOBS):
                yield Place(document["_id"], name, blob)


def with_links(shown: Shown, stored: Mapping[Place, Stored], url: Callable[[Stored], str]) -> Shown:
    """What is shown, with a `url` in each blob whose bytes are there. The tag stays that of the view."""
    links = {(place.id, place.field): url(one) for place, one in stored.items()}
    match shown:
        case ShownDocument(document):
            return replace(shown, document=_linked(document, links), written=None)
        case ShownPage(documents) | ShownMany(documents):
            linked = tuple(_linked(one, links) for one in documents)
            return _anew(shown, linked)
        case _:
            return shown


def _anew(shown: ShownPage | ShownMany, documents: tuple[Revealed, ...]) -> Shown:
    """A page may be that of several requests, and is left as it is."""
    if isinstance(shown, ShownPage):
        return replace(shown, documents=documents, written=[])
    return replace(shown, documents=documents)


def _linked(document: Revealed, links: Links) -> Revealed:
    found = {name: one for (of, name), one in links.items() if of == document["_id"]}
    with_urls = {
        name: {**document[name], "url": one} for name, one in found.items() if isinstance(document.get(name), dict)
    }
    return Revealed({**document, **with_urls})
