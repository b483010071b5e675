"""`hierarchy` of a collection: its documents are people, each of whom may name a manager."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from permission_mongo.config.section import Section, suggestion
from permission_mongo.schema.model import ID_TYPES, Collection, Hierarchy, Ref


def with_hierarchy(collection: Collection, section: Section) -> Collection:
    """The collection with what `hierarchy` declares. A manager named by document id is a reference as well."""
    if not section.has("hierarchy"):
        section.section("hierarchy")
        return collection
    declared = section.section("hierarchy")
    found = Hierarchy(declared.text("user_id_field", "_id"), declared.text("manager_field"))
    declared.done()
    if not _is_sound(found, collection, declared):
        return collection
    manager = collection.fields[found.manager_field]
    if found.user_id_field == "_id" and manager.ref is None:
        manager = replace(manager, ref=Ref(collection.name))
    fields = {**collection.fields, found.manager_field: manager}
    return replace(collection, fields=fields, hierarchy=found)


def _is_sound(found: Hierarchy, collection: Collection, section: Section) -> bool:
    faults = {
        "manager_field": _fault(found.manager_field, collection),
        "user_id_field": None if found.user_id_field == "_id" else _fault(found.user_id_field, collection),
    }
    kinds = {collection.kind_of(name) for name in (found.manager_field, found.user_id_field)}
    if not any(faults.values()):
        if found.manager_field == found.user_id_field or len(kinds) != 1:
            faults["manager_field"] = "'manager_field' is a field of its own, of the type of 'user_id_field'"
        elif not _is_unique(found.user_id_field, collection):
            faults["user_id_field"] = (
                f"'{found.user_id_field}' needs a unique index, alone or behind the tenant: two people must not be one"
            )
    for key, message in faults.items():
        if message is not None:
            section.wrong(key, message)
    return not any(faults.values())


def _fault(name: str, collection: Collection) -> str | None:
    one = collection.fields.get(name)
    if one is None:
        return f"'{collection.name}' declares no field '{name}'{suggestion(name, collection.fields)}"
    if one.type not in ID_TYPES or one.computed is not None:
        return f"'{name}' is of type {one.type}; who somebody is, is told by a field of type {', '.join(ID_TYPES)}"
    return None


def _is_unique(name: str, collection: Collection) -> bool:
    sets = [{key for key, _ in index.keys} for index in collection.indexes if index.unique and index.partial is None]
    return name == "_id" or any(keys in ({name}, {name, collection.tenant_field}) for keys in sets)


def check_single(collections: Mapping[str, Collection], section: Section) -> None:
    """The people of a configuration are in one collection: a caller is found in one place."""
    found = [one.name for one in collections.values() if one.hierarchy is not None]
    for name in found[1:]:
        section.section(name).wrong("hierarchy", f"'{found[0]}' has a hierarchy already; there is one")
