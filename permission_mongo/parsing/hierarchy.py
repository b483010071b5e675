"""What is asked of the hierarchy as a whole."""

from __future__ import annotations

from permission_mongo.errors import InvalidRequest
from permission_mongo.operations import SyncHierarchy
from permission_mongo.parsing.fields import is_empty, read_body, require_known
from permission_mongo.parsing.lists import Parameters


def read_sync(body: bytes, parameters: Parameters) -> SyncHierarchy:
    """Nothing, or `{"tenant_id"?, "user_collection"?}`: whose, where it is not told by the credential."""
    parameters.require_known(())
    found = {} if is_empty(body) else read_body(body)
    require_known(found, ("tenant_id", "user_collection"))
    tenant, collection = (_text(found.get(name), name) for name in ("tenant_id", "user_collection"))
    return SyncHierarchy(tenant, collection)


def _text(value: object, name: str) -> str | None:
    if value is not None and not (isinstance(value, str) and value):
        raise InvalidRequest(f"{name}: expected a text")
    return value
