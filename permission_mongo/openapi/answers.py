"""The bodies of answers that are the same for every collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from permission_mongo.openapi.words import NULL, Shape, a_list, an_object, or_null, ref, text, whole
from permission_mongo.policy.rules import ACTIONS

_ID: Final[Shape] = {"type": "string"}
_COUNT: Final = whole(0)
_MOMENT: Final = text(format="date-time")
_BATCH: Final = text("The id for undo, in versions and in the audit.", pattern="^[0-9a-f]{32}$")
_NOT_DONE: Final = an_object({"id": {}, "error": ref("Error")}, ["id", "error"])
_NOT_CREATED: Final = an_object({"index": _COUNT, "id": {}, "error": ref("Error")}, ["error"])


def _batch(properties: Mapping[str, Shape], required: list[str]) -> Shape:
    common = {
        "error": ref("Error"),
        "results": a_list(ref("BatchItem")),
        "batch": _BATCH,
        "dry_run": {"const": True},
        "failed": a_list(_NOT_DONE),
    }
    return an_object({**common, **properties}, required)


ANSWERS: Final[Mapping[str, Shape]] = {
    "Pagination": an_object(
        {
            "cursor": or_null(text("For `_cursor` of the next page.")),
            "has_more": {"type": "boolean"},
            "total": whole(0, description="Rows of all pages, where asked for."),
        },
        ["cursor", "has_more"],
    ),
    "Count": an_object({"data": an_object({"count": _COUNT}, ["count"])}, ["data"]),
    "Rows": an_object({"data": a_list({"type": "object"})}, ["data"]),
    "Deleted": an_object({"deleted": {"const": True}, "id": _ID}, ["deleted", "id"]),
    "Purged": an_object({"purged": {"const": True}, "id": _ID, "versions": _COUNT}, ["purged", "id", "versions"]),
    "BatchItem": an_object({"id": {}, "status": text(), "error": ref("Error")}, ["id", "status"]),
    "BatchCreated": _batch({"created": a_list({}), "failed": a_list(_NOT_CREATED)}, ["created", "failed"]),
    "BatchUpdated": _batch(
        {"matched": _COUNT, "modified": _COUNT, "missing": a_list({})}, ["matched", "modified", "missing", "failed"]
    ),
    "BatchDeleted": _batch({"deleted": _COUNT, "missing": a_list({})}, ["deleted", "missing"]),
    "BatchRestored": _batch({"restored": _COUNT}, ["restored", "failed"]),
    "VersionEntry": an_object(
        {
            "version": whole(0),
            "action": or_null(text()),
            "updated_by": or_null({}),
            "updated_at": or_null(_MOMENT),
            "change_reason": text(),
            "batch": _BATCH,
        },
        ["version", "action", "updated_by", "updated_at"],
    ),
    "VersionMetadata": an_object(
        {
            "version": whole(0),
            "updated_by": or_null({}),
            "updated_at": or_null(_MOMENT),
            "change_reason": {"type": ["string", "null"]},
        },
        ["version", "updated_by", "updated_at", "change_reason"],
    ),
    "Differences": an_object(
        {
            "from_version": whole(0),
            "to_version": whole(0),
            "changes": a_list(
                an_object(
                    {"field": text(), "op": {"enum": ["add", "remove", "change"]}, "from": {}, "to": {}},
                    ["field", "op"],
                )
            ),
        },
        ["from_version", "to_version", "changes"],
    ),
    "Job": an_object(
        {
            "id": _BATCH,
            "state": {"enum": ["running", "cancelling", "done", "cancelled", "failed"]},
            "operation": {"enum": ["delete", "update"]},
            "collection": text(),
            "created_at": _MOMENT,
            "progress": {"type": "object", "additionalProperties": _COUNT, "required": ["failed"]},
            "batch": _BATCH,
            "error": ref("Error"),
        },
        ["id", "state", "operation", "collection", "created_at", "progress"],
    ),
    "Started": an_object({"job": ref("Job")}, ["job"]),
    "Jobs": an_object({"data": a_list(ref("Job"))}, ["data"]),
    "Health": an_object({"status": {"const": "ok"}}, ["status"]),
    "Readiness": an_object(
        {
            "status": {"enum": ["ready", "not_ready", "ending"]},
            "checks": an_object(
                {"mongodb": {"enum": ["ok", "unavailable"]}, "policy": {"enum": ["ok", "stale"]}},
                ["mongodb", "policy"],
            ),
            "policy": text("Begins the SHA-256 of schema and policy in force."),
        },
        ["status"],
    ),
    "Me": {
        "type": "object",
        "properties": {
            "sub": text(),
            "tenant": or_null(text()),
            "namespace": text(),
            "namespaces": a_list(text()),
            "credential": {"type": "object"},
            "roles": a_list(text()),
            "with_inherited": a_list(text()),
            "unknown_roles": a_list(text()),
            "crosses_tenants": {"type": "boolean"},
            "system": a_list(text()),
            "collections": {"type": "object", "description": "Actions and fields, by name."},
            "gateway": {"type": "object"},
        },
        "required": ["sub", "tenant", "roles", "system", "collections", "gateway"],
    },
    "Explanation": {
        "type": "object",
        "properties": {
            "action": text(),
            "collection": text(),
            "allowed": {"enum": [True, False, "for some documents", "for all documents of the tenant"]},
            "refusal": ref("Error"),
            "document": {"enum": ["live", "deleted", "absent"]},
            "decided_by": a_list(text()),
        },
        "required": ["action", "collection", "caller", "allowed", "decided_by", "needs", "filter", "fields"],
    },
    "PolicyFiles": an_object(
        {
            "digest": text(),
            "files": {
                "type": "object",
                "additionalProperties": an_object({"text": text(), "sha256": text()}, ["text", "sha256"]),
            },
        },
        ["digest", "files"],
    ),
    "PolicyMatrix": an_object(
        {
            "actions": a_list({"enum": list(ACTIONS)}),
            "roles": a_list({"type": "object", "required": ["name", "inherits", "with_inherited"]}),
            "collections": a_list({"type": "object", "required": ["name", "fields"]}),
            "rules": a_list({"type": "object", "required": ["at", "role", "effect", "actions", "when", "filter"]}),
            "claims": an_object({"user": text(), "tenant": text(), "roles": text()}, ["user", "tenant", "roles"]),
            "principals": a_list({"type": "object", "required": ["name", "sub", "roles", "claims"]}),
            "cells": a_list(
                an_object(
                    {
                        "role": text(),
                        "collection": text(),
                        "action": {"enum": list(ACTIONS)},
                        "extent": {"enum": ["all", "some", "none"]},
                        "rules": a_list({"type": "integer"}),
                    },
                    ["role", "collection", "action", "extent", "rules"],
                )
            ),
        },
        ["actions", "roles", "collections", "rules", "claims", "principals", "cells"],
    ),
    "PolicyFindings": an_object(
        {"findings": a_list({"type": "object"}), "fine": {"type": "boolean"}}, ["findings", "fine"]
    ),
    "PolicyTrial": {
        "type": "object",
        "properties": {
            "tests": a_list(
                an_object(
                    {"name": text(), "at": text(), "passed": {"type": "boolean"}, "faults": a_list(text())},
                    ["name", "at", "passed", "faults"],
                )
            ),
            "passed": {"type": "integer"},
            "failed": {"type": "integer"},
            "coverage": {"type": "object", "required": ["percent", "rules"]},
        },
        "required": ["tests", "passed", "failed", "coverage"],
    },
    "PolicyDifference": an_object(
        {
            "widens": {"type": "boolean"},
            "changes": a_list({"type": "object", "required": ["kind", "roles", "text"]}),
            "live": {"type": "object", "required": ["read", "principals", "counts"]},
        },
        ["widens", "changes"],
    ),
    "PolicyWritten": an_object({"file": text(), "sha256": text()}, ["file", "sha256"]),
    "AuditPage": an_object(
        {"data": a_list({"type": "object", "required": ["kind"]}), "pagination": ref("Pagination")},
        ["data", "pagination"],
    ),
    "Synced": an_object({"data": {"type": "object", "additionalProperties": {"type": ["integer", "null"]}}}, ["data"]),
    "Description": {"type": "object", "required": ["openapi", "info", "paths"]},
}
NOTHING: Final = NULL


def page_of(document: Shape) -> Shape:
    properties = {
        "data": a_list(document),
        "pagination": ref("Pagination"),
        "complete": {"const": False, "description": "Rows of the past may be missing."},
    }
    return an_object(properties, ["data", "pagination"])


def many_of(document: Shape) -> Shape:
    return an_object({"documents": a_list(document), "not_found": a_list({})}, ["documents", "not_found"])


def version_of(document: Shape) -> Shape:
    return an_object({"data": document, "metadata": ref("VersionMetadata")}, ["data", "metadata"])
