"""schema.yml as JSON Schema."""

from __future__ import annotations

from typing import Any

from permission_mongo.config.shapes.words import (
    Shape,
    boolean,
    choice,
    duration,
    entries,
    integer,
    number,
    section,
    size,
    text,
    texts,
    whole,
)
from permission_mongo.schema.model import FIELD_TYPES, FORMATS, ID_TYPES
from permission_mongo.schema.vectors import MOST_DIMENSIONS

_OF_PARTIAL = {"type": "object", "minProperties": 1}
_ANY_SCALAR = {"type": ["string", "number", "boolean", "null"]}


def schema_shape() -> Shape:
    return whole(
        "schema.yml of permission-mongo",
        {
            "version": text("Free text.", empty=True),
            "settings": _settings(),
            "collections": entries(
                "The collections that are served, by name.",
                _collection(),
                propertyNames={
                    "pattern": "^[A-Za-z][A-Za-z0-9_-]{0,63}$",
                    "not": {"enum": ["health", "ready", "metrics", "api"]},
                },
            ),
        },
        {
            "field": _field(computed=True),
            "fields": entries("Fields by name.", {"$ref": "#/$defs/field"}, propertyNames=_FIELD_NAMES),
            "inner": _field(computed=False),
            "inners": entries("Fields by name.", {"$ref": "#/$defs/inner"}, propertyNames=_FIELD_NAMES),
        },
    )


_COLLECTION_NAMES: dict[str, Any] = {
    "pattern": "^[A-Za-z][A-Za-z0-9_-]{0,63}$",
    "not": {"enum": ["health", "ready", "metrics", "api"]},
}
_FIELD_NAMES: dict[str, Any] = {"pattern": "^[^.$][^.]*$", "not": {"enum": ["_version", "_made"]}}


def _settings() -> Shape:
    return section(
        "What holds for every collection that says nothing else.",
        {
            "default_tenant_field": text("The tenant field: no request reaches past its caller's tenant."),
            "default_owner_field": text("Stamped with the creator, where the collection declares it."),
            "auto_timestamps": boolean("`created_at`, `updated_at`, `created_by`, `updated_by`.", True),
            "id_type": choice(ID_TYPES, "", "objectId"),
            "additional_fields": choice(["reject", "keep"], "Fields that are not declared.", "reject"),
        },
    )


def _collection() -> Shape:
    null_or_text = {"type": ["string", "null"], "minLength": 1}
    access = {
        "tenant_field": {**null_or_text, "description": "null for none"},
        "owner_field": {**null_or_text, "description": "null for none"},
    }
    listing = {
        "default_limit": integer("Rows of a page.", 20, 1, 10_000),
        "count": choice(["on_request", "always"], "When a list tells its total.", "on_request"),
    }
    people = {
        "user_id_field": text("What a caller's `user.id` names.", "_id"),
        "manager_field": text("The manager's id."),
    }
    return section(
        "One collection.",
        {
            "fields": {"$ref": "#/$defs/fields"},
            "id_type": choice(ID_TYPES, "Of settings where it is left out."),
            "additional_fields": choice(["reject", "keep"], "Of settings where it is left out."),
            "client_ids": boolean("Callers may choose string and uuid ids."),
            "access": section("Who documents belong to.", access),
            "versioning": _versioning(),
            "indexes": {
                "description": "Made at start, never dropped.",
                "anyOf": [_index(), {"type": "array", "items": _index()}],
            },
            "list": section("How it is listed.", listing),
            "hierarchy": section("Its documents are people, each of whom may name a manager.", people),
            "allow_regex": boolean("`$regex` takes any pattern, instead of literal text.", False),
        },
    )


def _versioning() -> Shape:
    return section(
        "Old versions, kept in the same transaction as each write.",
        {
            "enabled": boolean("true where the section has a key."),
            "mode": choice(["full", "diff"], "", "full"),
            "max_versions": integer("Of one document, beside the live one.", None, 1, 1_000_000),
            "retention_days": integer("So long after it ended a version is removed.", None, 1, 36_500),
            "deleted_days": integer("The last content of a deleted document stays at least so long.", 365, 1, 36_500),
        },
    )


def _index() -> Shape:
    return {
        **section(
            "One index.",
            {
                "fields": texts("`[a, -b]`: b from high to low. The tenant field first."),
                "unique": boolean("", False),
                "global": boolean("Unique across tenants: it tells one tenant of another's values.", False),
                "sparse": boolean("", False),
                "partial": {
                    **_OF_PARTIAL,
                    "description": "A filter; see docs/configuration.md.",
                },
                "expire_after": duration("For an index on one date: documents are removed."),
            },
        ),
        "type": "object",
        "required": ["fields"],
    }


def _field(*, computed: bool) -> Shape:
    """A field; only one of the document itself can be computed."""
    expression = {"description": "An expression over fields of the document.", "type": "object"}
    of_blobs = {
        "max_bytes": size("Of a blob."),
        "content_types": texts("Of a blob: image/png, image/*; any without it."),
    }
    ref = section(
        "", {"collection": text("A collection."), "existence": choice(["readable", "tenant"], "", "readable")}
    )
    return {
        **section(
            "One field.",
            {
                "type": choice(FIELD_TYPES),
                "required": boolean("null does not count.", False),
                "default": {"description": "A value that the field would take, or now(), uuid(), user.id."},
                "immutable": boolean("Set once.", False),
                "auto": boolean("Made by the gateway at creation.", False),
                "auto_update": boolean("Made by the gateway at every write.", False),
                "min_length": integer("Of a string or an array.", None, 0, 2**53),
                "max_length": integer("Of a string or an array.", None, 0, 2**53),
                "pattern": text("A regular expression that must match somewhere."),
                "format": choice(FORMATS),
                "min": number("Inclusive."),
                "max": number("Inclusive."),
                "enum": {"type": "array", "minItems": 1, "items": _ANY_SCALAR},
                "dimensions": integer("Of a vector: how many numbers it has.", None, 1, MOST_DIMENSIONS),
                "items": {"$ref": "#/$defs/inner"},
                "properties": {"$ref": "#/$defs/inners"},
                "ref": {
                    "description": "The value is the id of a document there.",
                    "anyOf": [text(), {**ref, "type": "object"}],
                },
                **({"computed": expression, **of_blobs} if computed else {}),
            },
        ),
        "type": "object",
        "required": ["type"],
    }
