"""schema.yml: the collections and their fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from permission_mongo.config.section import Section, plain, suggestion
from permission_mongo.config.yaml import Map, Scalar, Sequence
from permission_mongo.schema.model import (
    FIELD_TYPES,
    FORMATS,
    ID_TYPES,
    RESERVED_FIELDS,
    Collection,
    Field,
    IdType,
    Index,
)
from permission_mongo.values import SCALAR_TYPES, read_scalar

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_RESERVED = ("health", "ready", "metrics", "api")
_STAMPS = {"created_at": "date", "updated_at": "date", "created_by": "string", "updated_by": "string"}
_TEXTUAL = ("string",)
_NUMERIC = ("number", "integer", "decimal")
_ARRAYS = ("array",)
FUNCTIONS = ("now()", "uuid()", "user.id")


@dataclass(frozen=True, slots=True)
class Defaults:
    """`settings` of schema.yml."""

    tenant_field: str | None = None
    owner_field: str | None = None
    timestamps: bool = True
    id_type: IdType = "objectId"
    keeps_additional: bool = False


def read_collections(root: Section) -> Mapping[str, Collection]:
    root.text("version")
    defaults = _defaults(root.section("settings"))
    collections: dict[str, Collection] = {}
    for name, section in root.section("collections").sections():
        if not _NAME.fullmatch(name) or name in _RESERVED:
            reason = (
                "is reserved for the gateway" if name in _RESERVED else "must begin with a letter: letters, digits, _ -"
            )
            section.findings.append(section.node.mark.finding(f"the collection name '{name}' {reason}"))
        collections[name] = _collection(name, section, defaults)
    root.done()
    return collections


def _defaults(section: Section) -> Defaults:
    defaults = Defaults(
        section.optional_text("default_tenant_field"),
        section.optional_text("default_owner_field"),
        section.boolean("auto_timestamps", True),
        _id_type(section, "objectId"),
        _keeps_additional(section, False),
    )
    section.done()
    return defaults


def _keeps_additional(section: Section, default: bool) -> bool:
    return section.choice("additional_fields", "keep" if default else "reject", ["reject", "keep"]) == "keep"


def _id_type(section: Section, default: IdType) -> IdType:
    chosen = section.choice("id_type", default, ID_TYPES)
    return next((known for known in ("objectId", "uuid", "string") if known == chosen), default)


def _collection(name: str, section: Section, defaults: Defaults) -> Collection:
    section.unavailable("hierarchy")
    fields = _fields(section.section("fields"))
    if defaults.timestamps:
        for stamp, kind in _STAMPS.items():
            fields.setdefault(stamp, Field(stamp, kind, auto=True))
    declared_id = fields.pop("_id", None)
    id_type = _id_type(section, defaults.id_type)
    if declared_id is not None and not section.has("id_type"):
        if declared_id.type not in ID_TYPES:
            section.section("fields").wrong("_id", f"an '_id' is of type {', '.join(ID_TYPES)}; not {declared_id.type}")
        id_type = next((known for known in ("objectId", "uuid", "string") if known == declared_id.type), id_type)
    tenant, owner = _access(name, section, fields, defaults)
    listing = section.section("list")
    collection = Collection(
        name,
        fields,
        id_type,
        section.boolean("client_ids", tenant is None and id_type != "objectId"),
        tenant,
        owner,
        defaults.timestamps,
        section.choice("additional_fields", "keep" if defaults.keeps_additional else "reject", ["reject", "keep"])
        == "keep",
        _versioning(section.section("versioning")),
        tuple(_index(one, fields, tenant, defaults) for one in section.list_of_sections("indexes")),
        listing.integer("default_limit", 20, 1, 10_000),
        listing.choice("count", "on_request", ["on_request", "always"]) == "always",
        section.boolean("allow_regex", False),
    )
    if collection.client_ids and id_type == "objectId":
        section.wrong("client_ids", "'client_ids' needs ids of type string or uuid")
    listing.done()
    section.done()
    return collection


def _access(
    name: str, section: Section, fields: Mapping[str, Field], defaults: Defaults
) -> tuple[str | None, str | None]:
    access = section.section("access")
    tenant = access.name_or_null("tenant_field", defaults.tenant_field)
    owner = access.name_or_null("owner_field", defaults.owner_field if defaults.owner_field in fields else None)
    for key, field in (("tenant_field", tenant), ("owner_field", owner)):
        if field is None:
            continue
        if field not in fields:
            access.wrong(
                key,
                f"'{name}' declares no field '{field}'{suggestion(field, fields)}"
                + ("; declare it, or say `access: {tenant_field: null}`" if key == "tenant_field" else ""),
            )
        elif fields[field].type not in ("string", "objectId", "uuid", "integer", "number"):
            access.wrong(key, f"'{field}' is of type {fields[field].type}; a {key} is a string, an id or a number")
    access.done()
    return tenant, owner


def _versioning(section: Section) -> bool:
    section.unavailable("max_versions", "retention_days", "deleted_days")
    if section.choice("mode", "full", ["full", "diff"]) == "diff":
        section.wrong("mode", "'mode: diff' is not available in this version; 'full' keeps whole documents")
    enabled = section.boolean("enabled", bool(section.node.entries))
    section.done()
    return enabled


def _index(section: Section, fields: Mapping[str, Field], tenant: str | None, defaults: Defaults) -> Index:
    section.unavailable("partial")
    keys: list[tuple[str, int]] = []
    for text, mark in section.texts("fields"):
        name = text.removeprefix("-")
        if name.split(".")[0] not in fields and name != "_id" and not defaults.keeps_additional:
            section.findings.append(mark.finding(f"unknown field '{name}'{suggestion(name, fields)}"))
        keys.append((name, -1 if text.startswith("-") else 1))
    if not keys:
        section.wrong("fields", "an index names its fields, such as `fields: [status, -created_at]`")
    unique, is_global = section.boolean("unique", False), section.boolean("global", False)
    if unique and tenant is not None and not is_global and (not keys or keys[0][0] != tenant):
        section.wrong(
            "unique",
            f"a unique index that '{tenant}' does not lead tells one tenant of another's values; "
            f"put '{tenant}' first, or say `global: true`",
        )
    expire = section.optional_seconds("expire_after")
    section.done()
    return Index(tuple(keys), unique, section.boolean("sparse", False), None if expire is None else int(expire))


def _fields(section: Section) -> dict[str, Field]:
    fields: dict[str, Field] = {}
    for name, one in section.sections():
        if name in RESERVED_FIELDS or not name or "." in name or name.startswith("$") or "\x00" in name:
            reason = "is the gateway's own" if name in RESERVED_FIELDS else "can't hold '.', begin with '$' or be empty"
            one.findings.append(one.node.mark.finding(f"the field name '{name}' {reason}"))
        fields[name] = _field(name, one)
    return fields


def _field(name: str, section: Section) -> Field:
    section.unavailable("computed", "ref")
    kind = section.choice("type", "any", FIELD_TYPES)
    if not section.has("type"):
        section.findings.append(section.node.mark.finding(f"'{name}' needs a type: {', '.join(FIELD_TYPES)}"))
    items = section.section("items") if section.has("items") else None
    properties = section.section("properties") if section.has("properties") else None
    field = Field(
        name,
        kind,
        section.boolean("required", False),
        _default(section, kind),
        section.boolean("immutable", False),
        section.boolean("auto", False),
        section.boolean("auto_update", False),
        section.optional_integer("min_length"),
        section.optional_integer("max_length"),
        _pattern(section),
        section.choice("format", FORMATS[0], FORMATS) if section.has("format") else None,
        section.optional_number("min"),
        section.optional_number("max"),
        _enum(section, kind),
        None if items is None else _field(f"{name}[]", items),
        None if properties is None else _fields(properties),
    )
    if field.enum and field.default is not None and field.default not in (*field.enum, *FUNCTIONS):
        section.wrong("default", f"the default {field.default!r} is not in 'enum'")
    section.done(["format", "items", "properties"])
    _check_fit(section, kind)
    return field


def _check_fit(section: Section, kind: str) -> None:
    """A constraint that the type can't meet would silently hold nothing."""
    fits = {
        "min_length": (*_TEXTUAL, *_ARRAYS),
        "max_length": (*_TEXTUAL, *_ARRAYS),
        "pattern": _TEXTUAL,
        "format": _TEXTUAL,
        "min": _NUMERIC,
        "max": _NUMERIC,
        "items": _ARRAYS,
        "properties": ("object",),
    }
    for key, kinds in fits.items():
        if section.has(key) and kind not in kinds:
            section.wrong(key, f"'{key}' is for {', '.join(kinds)}; this field is of type {kind}")


def _pattern(section: Section) -> re.Pattern[str] | None:
    text = section.optional_text("pattern")
    try:
        return None if text is None else re.compile(text)
    except re.error as error:
        section.wrong("pattern", f"not a regular expression: {error}")
        return None


def _default(section: Section, kind: str) -> Any:
    node = section.raw("default")
    if not isinstance(node, Scalar) or node.value in FUNCTIONS:
        return None if node is None else plain(node)
    return _typed(section, node, kind)


def _enum(section: Section, kind: str) -> tuple[Any, ...] | None:
    node = section.raw("enum")
    if node is None:
        return None
    if not isinstance(node, Sequence) or not node.items:
        section.wrong("enum", "'enum' expects a list of values")
        return None
    return tuple(_typed(section, item, kind) for item in node.items if isinstance(item, Scalar))


def _typed(section: Section, node: Scalar | Map, kind: str) -> Any:
    try:
        return read_scalar(kind, plain(node)) if kind in SCALAR_TYPES else plain(node)
    except ValueError as error:
        section.findings.append(node.mark.finding(f"expected {error}; got {plain(node)!r}"))
        return None
