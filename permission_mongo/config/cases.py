"""Policy tests as they are written: who, which documents, and what is expected. Read and typed, not run yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Literal

from permission_mongo.config.yaml import Mark
from permission_mongo.documents.paths import Path
from permission_mongo.policy.rules import Action
from permission_mongo.principal import Principal
from permission_mongo.values import Document

Verdict = Literal["allowed", "forbidden", "not_found", "schema_validation", "bad_request"]
VERDICTS: Final[tuple[Verdict, ...]] = ("allowed", "forbidden", "not_found", "schema_validation", "bad_request")
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_EPOCH: Final = datetime(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Sample:
    """A document of a policy test by its name, typed by the schema."""

    name: str
    document: Document


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of one document. None asks nothing; paths are canonical.

    `fields`: exactly these are shown raw. `writable`: exactly these may be written. `masks`: what stands for the value,
    a mask's name or the very value.
    """

    fields: frozenset[Path] | None = None
    hidden: frozenset[Path] = frozenset()
    masks: tuple[tuple[Path, Any], ...] = ()
    writable: frozenset[Path] | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """The action is permitted on exactly these of the collection's documents, by name."""

    of: Mapping[str, Expected]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One thing tried: on the document called `sample`, with a `change` or of a new `document`; of none, by role alone.

    `stored` are fields of the document as it is then; only where `verdict` is "allowed".
    """

    verdict: Verdict
    sample: str | None = None
    change: Mapping[str, Any] | None = None
    document: Mapping[str, Any] | None = None
    stored: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True)
class Case:
    """One policy test. `now` is naive UTC."""

    name: str
    mark: Mark
    principal: str
    action: Action
    collection: str
    expects: Rows | Attempt
    now: datetime
    request: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True)
class PolicyTests:
    """`policy_tests.yml`: principals by name, documents by collection and name, the tests in order."""

    principals: Mapping[str, Principal] = field(default_factory=dict)
    samples: Mapping[str, Mapping[str, Sample]] = field(default_factory=dict)
    cases: tuple[Case, ...] = ()
    now: datetime = _EPOCH
