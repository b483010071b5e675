"""Bodies of the Moorcheh API -> operations. A namespace there is a collection here, of texts or of vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Literal

from permission_mongo.batch import Batch
from permission_mongo.errors import InvalidRequest
from permission_mongo.operations import ByIds, CreateMany, DeleteMany, GetMany, ListMany
from permission_mongo.parsing.documents import read_sent
from permission_mongo.parsing.fields import items_of, read_body, reason_of, require_known
from permission_mongo.parsing.ids import Fresh, read_id
from permission_mongo.parsing.lists import Parameters, read_cursor
from permission_mongo.query.limits import Limits
from permission_mongo.schema.model import Collection, Field
from permission_mongo.values import DocumentId

Kind = Literal["documents", "vectors"]
MOST: Final = 1_000  # items of a request, as there
MOST_LISTED: Final = 100
_EXACT: Final = 2**53  # up to it a number of JSON without a fraction is one whole number


def vector_of(collection: Collection) -> Field | None:
    """The field that holds an item's vector: the one of that name, else the first; None for a collection of texts."""
    found = [one for one in collection.fields.values() if one.type == "vector"]
    return next((one for one in found if one.name == "vector"), found[0] if found else None)


def require_kind(collection: Collection, kind: Kind) -> None:
    """InvalidRequest where items of the other kind are meant."""
    own: Kind = "documents" if vector_of(collection) is None else "vectors"
    if own != kind:
        holds = "holds vectors" if own == "vectors" else "holds no vectors"
        raise InvalidRequest(f"'{collection.name}' {holds}; its routes begin with /namespaces/{collection.name}/{own}")


# -- ids


def read_named(body: bytes, collection: Collection, limits: Limits) -> Mapping[DocumentId, str]:
    """`{"ids": [...]}`: each once, in the order asked, with its text as it was sent."""
    found = read_body(body)
    require_known(found, ("ids",))
    named: dict[DocumentId, str] = {}
    for n, sent in enumerate(items_of(found, "ids", min(MOST, limits.max_batch_size))):
        text = _text_of(sent, f"ids[{n}]")
        named.setdefault(read_id(text, collection, f"ids[{n}]"), text)
    return named


def _text_of(sent: Any, place: str) -> str:
    """An id; a whole number is its digits, as there."""
    if isinstance(sent, str):
        return sent
    if isinstance(sent, int) and not isinstance(sent, bool):
        return str(sent)
    if isinstance(sent, float) and sent.is_integer() and abs(sent) <= _EXACT:
        return str(int(sent))
    raise InvalidRequest(f"{place}: expected a text or a whole number")


def deletion_of(
    named: Mapping[DocumentId, str], reason: str | None, collection: Collection, fresh: Fresh
) -> DeleteMany:
    return DeleteMany(collection, ByIds(tuple(named)), replace(_options(reason, fresh), results=True))


def reading_of(named: Mapping[DocumentId, str], collection: Collection) -> GetMany:
    return GetMany(collection, tuple(named))


# -- uploads


def read_upload(body: bytes, kind: Kind, collection: Collection, limits: Limits) -> list[dict[str, Any]]:
    """`{"documents": [...]}` or `{"vectors": [...]}`: the documents that are to be stored, `_id` a text."""
    found = read_body(body)
    require_known(found, (kind,))
    items = items_of(found, kind, min(MOST, limits.max_batch_size))
    return [_document(item, f"{kind}[{n}]", collection) for n, item in enumerate(items)]


def upload_of(
    documents: list[dict[str, Any]], kind: Kind, collection: Collection, reason: str | None, fresh: Fresh
) -> CreateMany:
    """Of texts all or none: there the answer is that they were taken, and can't tell of some."""
    sent = tuple(read_sent(one, collection, fresh, f"{kind}[{n}]") for n, one in enumerate(documents))
    return CreateMany(collection, sent, _options(reason, fresh, atomic=kind == "documents"))


def _document(item: Any, place: str, collection: Collection) -> dict[str, Any]:
    """`{id, text, metadata?, ...}` or `{id, vector, metadata?, ...}`: what is in `metadata` may stand beside it too."""
    if not isinstance(item, dict) or "id" not in item:
        raise InvalidRequest(f"{place}: expected an object with 'id'")
    found = {name: value for name, value in item.items() if name not in ("id", "vector", "metadata")}
    vector = vector_of(collection)
    if "vector" in item:
        _put(found, "vector" if vector is None else vector.name, item["vector"], place)
    metadata = item.get("metadata")
    if "metadata" in collection.fields:
        found |= {"metadata": metadata} if "metadata" in item else {}
    elif isinstance(metadata, dict):
        for name, value in metadata.items():
            _put(found, name, value, f"{place}.metadata")
    elif metadata is not None:
        raise InvalidRequest(f"{place}.metadata: expected an object")
    _put(found, "_id", _text_of(item["id"], f"{place}.id"), place)
    return found


def _put(found: dict[str, Any], name: str, value: Any, place: str) -> None:
    if name in found:
        raise InvalidRequest(f"{place}: '{name[:100]}' is given twice")
    found[name] = value


def _options(reason: str | None, fresh: Fresh, *, atomic: bool = False) -> Batch:
    return Batch(fresh.batch_id(), atomic, reason=reason_of(reason, "X-Change-Reason"))


# -- lists


def read_list_of_texts(parameters: Parameters, collection: Collection) -> ListMany:
    """`limit` (1 to 100) and `next_token`."""
    parameters.require_known(("limit", "next_token"))
    limit = parameters.whole_number("limit", 1, MOST_LISTED) or MOST_LISTED
    return ListMany(collection, limit, read_cursor(parameters.get("next_token")))


def read_namespace_name(body: bytes) -> str:
    """Of one that is to be made. Its kind is asked for and says nothing: none is made."""
    found = read_body(body)
    require_known(found, ("namespace_name", "type", "vector_dimension"))
    name = found.get("namespace_name")
    if not isinstance(name, str) or not name:
        raise InvalidRequest("namespace_name: expected a name")
    return name
