"""For whom a description is made: the collections, actions and fields that one caller has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from permission_mongo.config.model import Config
from permission_mongo.config.policy import SYSTEM_RIGHTS
from permission_mongo.documents.paths import Path
from permission_mongo.policy.rules import ACTIONS, Action
from permission_mongo.principal import DEFAULT_NAMESPACE
from permission_mongo.schema.model import OF_BLOBS, Collection, innermost

RIGHT_TO_WRITE_POLICY: Final = "policy_write"
EVERY_RIGHT: Final = frozenset(SYSTEM_RIGHTS)
# Stands for each collection where none is to be named.
ANY_COLLECTION: Final = Collection("{collection}", id_type="string", client_ids=True, keeps_additional=True)


@dataclass(frozen=True, slots=True)
class Seen:
    """What somebody has of a collection: actions, and of its innermost declared fields those shown raw, those shown as
    a mask (with its kind), those that may be changed and those that may be sent with a new document, in some row at
    least. `named` are all collections that may be named to them.
    """

    collection: Collection
    actions: frozenset[Action]
    raw: frozenset[Path] = frozenset()
    masked: frozenset[tuple[Path, str]] = frozenset()
    writable: frozenset[Path] = frozenset()
    creatable: frozenset[Path] = frozenset()
    named: frozenset[str] = frozenset()

    @property
    def is_any(self) -> bool:
        """Whether it stands for every collection, and names no field."""
        return self.collection is ANY_COLLECTION

    @property
    def versioned(self) -> bool:
        return self.collection.versioned or self.is_any

    @property
    def blobs(self) -> tuple[str, ...]:
        """Those that are shown raw whole, in some row at least."""
        return tuple(
            name for name in sorted(self.collection.blobs) if all((name, part) in self.raw for part in OF_BLOBS)
        )

    def mask_of(self, path: Path) -> str | None:
        return next((kind for masked, kind in self.masked if masked == path), None)

    def shows(self, path: Path) -> bool:
        return path in self.raw or self.mask_of(path) is not None


@dataclass(frozen=True, slots=True)
class Audience:
    """`rights` are system rights; `namespaces` those that may be named; `metrics`: they are served on this port."""

    collections: tuple[Seen, ...]
    rights: frozenset[str]
    namespaces: tuple[str, ...] = ()
    api_keys: bool = True
    metrics: bool = False
    max_batch_size: int = 1000
    max_regex_length: int = 128
    max_result_size: int = 10_000


def nobody(config: Config) -> Audience:
    """For who shows no credential: what is the same everywhere, and no name of what this gateway has."""
    return _audience(config, (Seen(ANY_COLLECTION, frozenset(ACTIONS)),), EVERY_RIGHT, ())


def everybody(config: Config) -> Audience:
    """All that the configuration declares, whoever may have it: for the operator, and for all where that is chosen."""
    named = frozenset(config.collections)
    found = tuple(_whole(one, named) for one in config.collections.values())
    return for_caller(config, found, EVERY_RIGHT, frozenset({DEFAULT_NAMESPACE, *config.namespaces}))


def for_caller(
    config: Config, collections: tuple[Seen, ...], rights: frozenset[str], namespaces: frozenset[str]
) -> Audience:
    """`namespaces` are those of the credential; of them only those that there are can be named."""
    taken = rights if config.console.write else rights - {RIGHT_TO_WRITE_POLICY}
    known = sorted(namespaces & {DEFAULT_NAMESPACE, *config.namespaces})
    return _audience(config, collections, taken, tuple(known) if config.namespaces else ())


def _audience(
    config: Config, collections: tuple[Seen, ...], rights: frozenset[str], namespaces: tuple[str, ...]
) -> Audience:
    limits = config.limits
    return Audience(
        collections,
        rights,
        namespaces,
        config.auth.api_keys,
        config.metrics.public,
        limits.max_batch_size,
        limits.max_regex_length,
        limits.max_result_size,
    )


def _whole(collection: Collection, named: frozenset[str]) -> Seen:
    """With every action and every field. What the gateway writes itself nobody sends."""
    paths = frozenset(innermost(collection.fields))
    sent = frozenset(path for path in paths if path[0] not in collection.stamped)
    actions = frozenset(one for one in ACTIONS if one != "restore" or collection.versioned)
    return Seen(collection, actions, paths, frozenset(), sent, sent, named)
