"""`ref` of a field: the collection is there, and its ids are of the field's type."""

from __future__ import annotations

from collections.abc import Mapping

from permission_mongo.config.section import Section, suggestion
from permission_mongo.schema.model import Collection, Field


def check_references(collection: Collection, section: Section, collections: Mapping[str, Collection]) -> None:
    _check(collection.fields, section, collections)


def _check(fields: Mapping[str, Field], section: Section, collections: Mapping[str, Collection]) -> None:
    for name in section.node.entries:
        one = fields.get(name)
        if one is not None:
            _check_one(one, section.section(name), collections)


def _check_one(one: Field, section: Section, collections: Mapping[str, Collection]) -> None:
    if one.ref is not None:
        found = collections.get(one.ref.collection)
        if found is None:
            known = suggestion(one.ref.collection, collections)
            section.wrong("ref", f"unknown collection '{one.ref.collection}'{known}", code="unknown-collection")
        elif found.id_type != one.type:
            section.wrong("ref", f"ids of '{found.name}' are of type {found.id_type}; this field is of type {one.type}")
    if one.items is not None:
        _check_one(one.items, section.section("items"), collections)
    if one.properties is not None:
        _check(one.properties, section.section("properties"), collections)
