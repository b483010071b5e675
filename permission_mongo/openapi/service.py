"""The routes of the gateway itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from permission_mongo.openapi.audience import Audience
from permission_mongo.openapi.words import Shape, a_list, an_object, ref, text
from permission_mongo.policy.rules import ACTIONS

_JSON: Final = "application/json"
_BODY: Final = ("payload_too_large", "unsupported_media_type", "request_timeout")


@dataclass(frozen=True, slots=True)
class Served:
    """One method at one path. `right` is the system right that it needs, None for every caller, `also` those beside it.

    `asks`: whether a credential is `"needed"`, `"taken"` or neither. `kinds` are the media types of its answer.
    """

    method: str
    path: str
    name: str
    summary: str
    answers: dict[int, Shape]
    right: str | None = None
    parameters: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    body: Shape | None = None
    headers: tuple[str, ...] = ()
    asks: str = "needed"
    kinds: tuple[str, ...] = (_JSON,)
    also: tuple[str, ...] = ()

    @property
    def rights(self) -> tuple[str, ...]:
        return self.also if self.right is None else (self.right, *self.also)


def _body(schema: Shape, *, required: bool = True) -> Shape:
    return {"required": required, "content": {_JSON: {"schema": schema}}}


_FILE: Final = text("Its text.")
_FILES: Final = dict.fromkeys(("policy.yml", "schema.yml"), _FILE)
_ROLE_SETS: Final[Shape] = {"type": "array", "maxItems": 20, "items": {**a_list(text()), "minItems": 1}}
_LIVE: Final[Shape] = {
    "type": "boolean",
    "description": "Counted on documents as well, of a policy alone; this needs `explain`.",
}
# What is counted on documents is a policy: another schema would be of other documents.
_DIFFERENCE: Final[Shape] = {
    "anyOf": [
        an_object(
            {"files": an_object(_FILES, minProperties=1), "roles": _ROLE_SETS, "live": {**_LIVE, "const": False}},
            ["files"],
        ),
        an_object(
            {"files": an_object({"policy.yml": _FILE}, ["policy.yml"]), "roles": _ROLE_SETS, "live": _LIVE}, ["files"]
        ),
    ]
}
_SYNC: Final = _body(
    an_object({"tenant_id": text(minLength=1), "user_collection": text(minLength=1)}),
    required=False,
)
_EXPLAIN: Final = an_object(
    {
        "action": {"enum": list(ACTIONS)},
        "collection": text(),
        "id": {},
        "filter": {"type": "object"},
        "as": {"type": "object", "description": "Claims of another caller."},
    },
    ["action", "collection"],
    description="One of `id` and `filter`; neither for `create`.",
    **{"not": {"required": ["id", "filter"]}},
)
_AUDIT: Final = ("limit", "from", "to", "kind", "id", "subject", "action", "collection", "batch", "request_id", "code")

ROUTES: Final[tuple[Served, ...]] = (
    Served("GET", "/health", "health", "Whether the process answers", {200: ref("Health")}, asks="neither"),
    Served(
        "GET",
        "/ready",
        "ready",
        "Whether MongoDB can be reached",
        {200: ref("Readiness"), 503: ref("Readiness")},
        asks="neither",
    ),
    Served(
        "GET",
        "/metrics",
        "metrics",
        "Counters, for Prometheus",
        {200: text()},
        asks="neither",
        kinds=("text/plain; version=0.0.4; charset=utf-8",),
    ),
    Served(
        "GET",
        "/_pm/blobs/{token}",
        "presigned",
        "The bytes at an address that was given for a time",
        {200: text(), 206: text()},
        parameters=("token",),
        codes=("bad_request", "document_not_found", "rate_limited"),
        asks="neither",
        kinds=("application/octet-stream",),
    ),
    Served(
        "GET",
        "/_pm/openapi.json",
        "describe",
        "This description, as far as it is the caller's",
        {200: ref("Description")},
        asks="taken",
    ),
    Served("GET", "/_pm/me", "me", "Who the caller is, and what it may do", {200: ref("Me")}),
    Served("GET", "/_pm/jobs", "listJobs", "The caller's own jobs", {200: ref("Jobs")}, None, ("jobs_limit",)),
    Served(
        "GET",
        "/_pm/jobs/{job}",
        "getJob",
        "A job, or its events until it ends",
        {200: ref("Job")},
        None,
        ("job",),
        ("job_not_found", "collection_not_found"),
        kinds=(_JSON, "text/event-stream"),
    ),
    Served(
        "POST",
        "/_pm/jobs/{job}/cancel",
        "cancelJob",
        "End a job before its next transaction",
        {200: ref("Job")},
        None,
        ("job",),
        ("job_not_found", "collection_not_found", *_BODY),
        _body(an_object({}), required=False),
    ),
    Served(
        "POST",
        "/_pm/explain",
        "explain",
        "How the rules judge a request",
        {200: ref("Explanation")},
        "explain",
        (),
        ("collection_not_found", *_BODY),
        _body(_EXPLAIN),
    ),
    Served(
        "GET",
        "/_pm/audit",
        "listAudit",
        "Who did what",
        {200: ref("AuditPage")},
        "audit",
        (*(f"audit_{name}" for name in _AUDIT), "cursor"),
    ),
    Served(
        "GET",
        "/_pm/policy",
        "getPolicy",
        "schema.yml and policy.yml as they are written",
        {200: ref("PolicyFiles")},
        "admin",
        headers=("ETag",),
    ),
    Served(
        "GET",
        "/_pm/policy/matrix",
        "getPolicyMatrix",
        "Which rules give each role what",
        {200: ref("PolicyMatrix")},
        "admin",
        also=("explain",),
    ),
    Served(
        "POST",
        "/_pm/policy/check",
        "checkPolicy",
        "What is wrong with these files",
        {200: ref("PolicyFindings")},
        "admin",
        (),
        _BODY,
        _body(an_object({"files": an_object(_FILES, minProperties=1)}, ["files"])),
    ),
    Served(
        "POST",
        "/_pm/policy/test",
        "testPolicy",
        "What the policy tests come to with these files",
        {200: ref("PolicyTrial")},
        "admin",
        (),
        _BODY,
        _body(an_object({"files": an_object({**_FILES, "policy_tests.yml": _FILE}, minProperties=1)})),
    ),
    Served(
        "POST",
        "/_pm/policy/diff",
        "diffPolicy",
        "What each role gains and loses by these files",
        {200: ref("PolicyDifference")},
        "admin",
        (),
        _BODY,
        _body(_DIFFERENCE),
    ),
    Served(
        "PUT",
        "/_pm/policy",
        "putPolicy",
        "Replace policy.yml",
        {200: ref("PolicyWritten")},
        "policy_write",
        ("hash_matches",),
        ("precondition_failed", "conflict", *_BODY),
        _body(an_object({"files": an_object({"policy.yml": _FILE}, ["policy.yml"])}, ["files"])),
        ("ETag!",),
    ),
    Served(
        "POST",
        "/_pm/hierarchy/sync",
        "syncHierarchy",
        "Find anew who is above whom",
        {200: ref("Synced")},
        "admin",
        (),
        ("collection_not_found", *_BODY),
        _SYNC,
    ),
    Served(
        "POST",
        "/api/hierarchy/sync",
        "syncHierarchyAsInGo",
        "The same, where the Go gateway has it",
        {200: ref("Synced")},
        "admin",
        (),
        ("collection_not_found", *_BODY),
        _SYNC,
    ),
)


def served(audience: Audience) -> Iterator[Served]:
    """Those that somebody may ask."""
    for one in ROUTES:
        if (one.name != "metrics" or audience.metrics) and audience.rights.issuperset(one.rights):
            yield one
