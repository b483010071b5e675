"""The indexes of a collection in schema.yml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from permission_mongo.config.section import Section, plain, suggestion
from permission_mongo.errors import InvalidRequest
from permission_mongo.query.filters import read_filter
from permission_mongo.query.limits import Limits
from permission_mongo.schema.model import Collection, Index

# What MongoDB takes as a partial index's filter, of what our filters know.
_PARTIAL = frozenset({"$and", "$or", "$eq", "$in", "$gt", "$gte", "$lt", "$lte", "$exists"})


def read_index(section: Section, collection: Collection) -> Index:
    keys = _keys(section, collection)
    unique = section.boolean("unique", False)
    _check_unique(section, collection, keys, unique=unique, is_global=section.boolean("global", False))
    expire = section.optional_seconds("expire_after")
    if expire is not None:
        _check_expiry(section, collection, keys)
    sparse, partial = section.boolean("sparse", False), _partial(section, collection)
    if sparse and partial is not None:
        section.wrong("sparse", "an index is 'sparse' or 'partial', not both")
    section.done()
    return Index(keys, unique, sparse, None if expire is None else int(expire), partial)


def _keys(section: Section, collection: Collection) -> tuple[tuple[str, int], ...]:
    keys: list[tuple[str, int]] = []
    for text, mark in section.texts("fields"):
        name = text.removeprefix("-")
        if not collection.knows(name):
            known = suggestion(name, collection.fields)
            section.findings.append(mark.finding(f"unknown field '{name}'{known}", code="unknown-field"))
        elif collection.is_computed(name):
            section.findings.append(mark.finding(f"'{name}' is computed, and so can't be in an index"))
        elif collection.is_vector(name):
            told = f"'{name}' is a vector: an index would have an entry for each number, and find nothing by them"
            section.findings.append(mark.finding(told))
        keys.append((name, -1 if text.startswith("-") else 1))
    if not keys:
        section.wrong("fields", "an index names its fields, such as `fields: [status, -created_at]`")
    return tuple(keys)


def _check_unique(
    section: Section, collection: Collection, keys: tuple[tuple[str, int], ...], *, unique: bool, is_global: bool
) -> None:
    tenant = collection.tenant_field
    if unique and tenant is not None and not is_global and (not keys or keys[0][0] != tenant):
        section.wrong(
            "unique",
            f"a unique index that '{tenant}' does not lead tells one tenant of another's values; "
            f"put '{tenant}' first, or say `global: true`",
            code="unique-not-led",
        )


def _check_expiry(section: Section, collection: Collection, keys: tuple[tuple[str, int], ...]) -> None:
    if collection.versioned:
        section.wrong("expire_after", "MongoDB removes what expires without a version; this collection keeps versions")
    if len(keys) != 1 or collection.kind_of(keys[0][0]) not in ("date", None):
        section.wrong("expire_after", "'expire_after' is for an index on one date")


def _partial(section: Section, collection: Collection) -> Mapping[str, Any] | None:
    node = section.raw("partial")
    if node is None:
        return None
    written = plain(node)
    try:
        query = read_filter(written, collection, Limits())
        fault = query.fault or _fault_of_partial(query.match) or _fault_of_paths(query.paths, collection)
    except InvalidRequest as refusal:
        fault = refusal.message
    else:
        if fault is None and query.match:
            return query.match
    section.wrong("partial", f"not a filter for an index: {(fault or 'it is empty').removeprefix('filter: ')}")
    return None


def _fault_of_paths(paths: frozenset[str], collection: Collection) -> str | None:
    for path in sorted(paths):
        if not collection.knows(path):
            return f"unknown field '{path}'{suggestion(path, collection.fields)}"
        if collection.is_computed(path):
            return f"'{path}' is computed"
    return None


def _fault_of_partial(match: Any) -> str | None:
    """MongoDB's own bounds: told here, with the place, and not at start."""
    for key, value in match.items():
        if key.startswith("$") and key not in _PARTIAL:
            return f"an index can't have '{key}'"
        if key == "$exists" and value is not True:
            return "an index can't have `$exists: false`"
        for inner in value if isinstance(value, list) else [value]:
            fault = _fault_of_partial(inner) if isinstance(inner, dict) else None
            if fault is not None:
                return fault
    return None
