"""schema.yml: the collections and their fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from permission_mongo.config.computed import with_computed
from permission_mongo.config.fields import check_id, read_fields
from permission_mongo.config.hierarchy import check_single, with_hierarchy
from permission_mongo.config.indexes import read_index
from permission_mongo.config.references import check_references
from permission_mongo.config.section import Section, suggestion
from permission_mongo.schema.defaults import STAMPS
from permission_mongo.schema.model import ID_TYPES, Collection, Field, IdType, Keeping

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_MOST_KEPT = 1_000_000
_MOST_DAYS = 36_500
_RESERVED = ("health", "ready", "metrics", "api")


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
    for name, section in root.section("collections").sections():
        check_references(collections[name], section.section("fields"), collections)
    check_single(collections, root.section("collections"))
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
    declared = section.section("fields")
    fields = read_fields(declared)
    if defaults.timestamps:
        for stamp, kind in STAMPS.items():
            # Also where it is declared otherwise: what the gateway writes is not the caller's to send.
            fields[stamp] = replace(fields.get(stamp) or Field(stamp, kind), auto=True)
    id_type = _type_of_ids(section, declared, fields.pop("_id", None), defaults)
    tenant, owner = _access(name, section, fields, defaults)
    listing = section.section("list")
    versioned, keeping = _versioning(section.section("versioning"))
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
        versioned,
        (),
        listing.integer("default_limit", 20, 1, 10_000),
        listing.choice("count", "on_request", ["on_request", "always"]) == "always",
        section.boolean("allow_regex", False),
        keeping,
    )
    collection = with_computed(collection, declared)
    indexes = tuple(read_index(one, collection) for one in section.list_of_sections("indexes"))
    collection = with_hierarchy(replace(collection, indexes=indexes), section)
    if collection.client_ids and id_type == "objectId":
        section.wrong("client_ids", "'client_ids' needs ids of type string or uuid")
    listing.done()
    section.done()
    return collection


def _type_of_ids(section: Section, fields: Section, declared: Field | None, defaults: Defaults) -> IdType:
    """As `id_type` says, or the type of a declared `_id`."""
    id_type = _id_type(section, defaults.id_type)
    if declared is None:
        return id_type
    check_id(fields.section("_id"))
    if section.has("id_type"):
        return id_type
    if declared.type not in ID_TYPES:
        fields.wrong("_id", f"an '_id' is of type {', '.join(ID_TYPES)}; not {declared.type}")
    return next((known for known in ("objectId", "uuid", "string") if known == declared.type), id_type)


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
                code="no-tenant" if key == "tenant_field" else "unknown-field",
            )
        elif fields[field].type not in ("string", "objectId", "uuid", "integer", "number"):
            access.wrong(key, f"'{field}' is of type {fields[field].type}; a {key} is a string, an id or a number")
    access.done()
    return tenant, owner


def _versioning(section: Section) -> tuple[bool, Keeping]:
    keeping = Keeping(
        section.choice("mode", "full", ["full", "diff"]) == "diff",
        section.optional_integer("max_versions", 1, _MOST_KEPT),
        section.optional_integer("retention_days", 1, _MOST_DAYS),
        section.integer("deleted_days", 365, 1, _MOST_DAYS),
    )
    enabled = section.boolean("enabled", bool(section.node.entries))
    section.done()
    return enabled, keeping
