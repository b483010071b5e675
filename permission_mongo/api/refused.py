"""Refusals of callers who are known -> the audit, behind the answer's back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from permission_mongo.api.calls import Call
from permission_mongo.api.errors import STATUS
from permission_mongo.audit import refusal_entry
from permission_mongo.errors import CallerLeft, RateLimited, Refusal
from permission_mongo.parsing.ids import read_id
from permission_mongo.values import DocumentId

# What the routes' endpoints do, as entries and rules call it; others are called by their own names.
_ACTIONS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("get_one", "get_many", "list_many", "query", "count", "list_deleted", "list_versions"), "read"),
    **dict.fromkeys(("get_version", "compare", "find_one", "find"), "read"),
    **dict.fromkeys(("get_document", "get_documents", "list_documents", "list_namespaces"), "read"),
    **dict.fromkeys(("update_document", "update_documents", "update_matching"), "update"),
    "create_document": "create",
    "delete_document": "delete",
    **dict.fromkeys(("upload_documents", "upload_vectors"), "create"),
    **dict.fromkeys(("delete_documents", "delete_vectors"), "delete"),
    **dict.fromkeys(("create_one", "create_many", "insert_one", "insert_many"), "create"),
    **dict.fromkeys(("put_one", "patch_one", "update_many", "update_first", "update_all", "replace_first"), "update"),
    **dict.fromkeys(("put_blob", "drop_blob"), "update"),
    "get_blob": "read",
    **dict.fromkeys(("delete_one", "delete_many", "delete_first", "delete_all"), "delete"),
    "restore_one": "restore",
    "purge_one": "purge",
    "list_audit": "audit",
}
_LONGEST: Final = 128
_OURS: Final = 500  # from this status on nothing was denied: something failed


def action_of(endpoint: str) -> str:
    """What a route does, in the words of rules and of the audit."""
    return _ACTIONS.get(endpoint, endpoint)


def note_refusal(call: Call, action: str, refusal: Refusal) -> None:
    """Nothing of a caller who is nobody yet, and nothing of a failure of ours.

    Nor of who is told to come later: nothing was denied, and an entry each is work that the limit is there to save.
    Nor of who left: nothing was told.
    """
    if isinstance(refusal, RateLimited | CallerLeft):
        return
    if call.asked is None or STATUS[refusal.code] >= _OURS or not call.gateway.config.audit.enabled:
        return
    named = call.request.path_params.get("collection", "")[:_LONGEST]
    call.gateway.trail.add_refusal(refusal_entry(call.asked.actor(), action, named, _ids(call, named), refusal))


def _ids(call: Call, named: str) -> list[DocumentId]:
    """Of a route of one document, where it can be an id there."""
    text, collection = call.request.path_params.get("id"), call.gateway.config.collections.get(named)
    if text is None or collection is None or len(text) > _LONGEST:
        return []
    try:
        return [read_id(text, collection, "id")]
    except Refusal:
        return []
