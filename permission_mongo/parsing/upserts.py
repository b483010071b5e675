"""What a filter asks to be equal, and what `$setOnInsert` sets -> the document to create where nothing matches.

As MongoDB does it: equal are a field's plain value and `$eq`, `$in` of one value and what `$all` names, at the top, in
`$and` and in `$or` of one filter. Nothing else of it is taken. What can't be created is a fault, told where it would
be: the same filter may well find something.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from permission_mongo.documents.changes import Step
from permission_mongo.errors import InvalidRequest, SchemaViolation
from permission_mongo.parsing.documents import read_sent
from permission_mongo.parsing.ids import Fresh
from permission_mongo.schema.model import Collection
from permission_mongo.schema.validate import FieldError, as_violation
from permission_mongo.upserts import Anew
from permission_mongo.values import is_extended

_ID = "_id"


def read_anew(asked: Mapping[str, Any], only: tuple[Step, ...], collection: Collection, fresh: Fresh) -> Anew:
    """Of a filter that was read as one, and of steps that set something."""
    if any(step.path.startswith(f"{_ID}.") for step in only):
        raise InvalidRequest(f"$setOnInsert: '{_ID}' is set whole")
    equal = [*_equalities(asked)]
    # An id stands once in both, or is the same.
    told = [one for one in ((step.path, step.operand) for step in only) if one[0] == _ID and one not in equal]
    sent = read_sent(dict(one for one in (*told, *equal) if one[0] == _ID), collection, fresh, "filter")
    alike = tuple(Step("$set", path, value) for path, value in equal if path != _ID)
    only = tuple(step for step in only if step.path != _ID)
    return Anew(sent.id, sent.names_id, sent.fault or _contradiction([*told, *equal]), None, alike, only)


def read_replacement_anew(
    asked: Mapping[str, Any], replacement: Mapping[str, Any], collection: Collection, fresh: Fresh
) -> Anew:
    """Of a whole document, to which the filter adds the id alone."""
    ids = [one for one in _equalities(asked) if one[0] == _ID]
    sent = read_sent({**replacement, **dict(ids)}, collection, fresh, "replacement")
    return Anew(sent.id, sent.names_id, sent.fault or _contradiction(ids), sent.document)


def _equalities(asked: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each path with its value, in the filter's order."""
    for key, value in asked.items():
        if key == "$and" or (key == "$or" and len(value) == 1):
            for one in value:
                yield from _equalities(one)
        elif key.startswith("$"):
            continue
        elif isinstance(value, dict) and not is_extended(value):
            # What is equal but for its capitals is several values.
            yield from () if "$options" in value else ((key, one) for one in _equal_to(value))
        else:
            yield key, value


def _equal_to(operators: Mapping[str, Any]) -> Iterator[Any]:
    for operator, operand in operators.items():
        if operator == "$eq":
            yield operand
        elif operator == "$all" or (operator == "$in" and len(operand) == 1):
            yield from operand


def _contradiction(equal: list[tuple[str, Any]]) -> SchemaViolation | None:
    """What can't be equal to all that is asked of it, though it may match: an array does by any of its elements."""
    for one, following in pairwise(sorted(path.split(".") for path, _ in equal)):
        if following[: len(one)] == one:
            place = ".".join(following)
            return as_violation([FieldError(place, "type", "the filter asks for more than one value of it")])
    return None
