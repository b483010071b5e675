"""What is to be created where a change finds nothing to change: not typed yet, and permitted by nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from permission_mongo.documents.changes import Step
from permission_mongo.errors import SchemaViolation
from permission_mongo.values import DocumentId


@dataclass(frozen=True, slots=True)
class Anew:
    """A new document: `document` as it was sent, or what steps make of nothing.

    First come those that are `alike` to what the filter asks to be equal, then what is set of a new document `only`,
    and then the change's own. `id`, `names_id` and `fault` are as of a document to create.
    """

    id: DocumentId
    names_id: bool = False
    fault: SchemaViolation | None = None
    document: Mapping[str, Any] | None = None
    alike: tuple[Step, ...] = ()
    only: tuple[Step, ...] = ()
