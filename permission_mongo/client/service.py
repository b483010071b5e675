"""The calls about the gateway itself: who am I, why, jobs, the policy, the audit. Pure, as those of documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Unpack

from permission_mongo.client import reading
from permission_mongo.client.call import Call, Options, get, id_text, plain, post, require_known, segment
from permission_mongo.client.json import Document, moment_text
from permission_mongo.client.reading import Reading
from permission_mongo.client.results import Job, Page, Readiness
from permission_mongo.client.walking import Pages

Files = Mapping[str, str]
_PLAIN: Final = Reading()


class AuditOptions(Options, total=False):
    """Which entries: from a moment (included) to another, and values that they have, see docs/audit.md."""

    since: datetime | str | None
    until: datetime | str | None
    kind: str | None
    subject: str | None
    action: str | None
    collection: str | None
    id: object
    batch: str | None
    request_id: str | None
    code: str | None


def me(**options: Unpack[Options]) -> Call[Document]:
    """Who the gateway takes the caller for, and what it may do."""
    return get("/_pm/me", reading.told).said(options)


def explain(
    action: str,
    collection: str,
    document: object = None,
    filter: Mapping[str, Any] | None = None,
    claims: Mapping[str, Any] | None = None,
    **options: Unpack[Options],
) -> Call[Document]:
    """How the rules judge a request, and what would change it, see docs/explain.md. `claims`: of another caller."""
    named = None if document is None else id_text(document)
    asked = {"action": action, "collection": collection, "id": named, "filter": filter, "as": claims}
    body = {name: value for name, value in asked.items() if value is not None}
    return post("/_pm/explain", body, reading.told).said(options)


def job(job: str, **options: Unpack[Options]) -> Call[Job]:
    """One job of this id, the one that a batch of many transactions has."""
    return get(f"/_pm/jobs/{segment(job)}", reading.job).said(options)


def jobs(limit: int | None = None, **options: Unpack[Options]) -> Call[tuple[Job, ...]]:
    """The caller's own jobs, newest first."""
    return get("/_pm/jobs", reading.jobs, {"_limit": limit}).said(options)


def cancel(job: str, **options: Unpack[Options]) -> Call[Job]:
    """Twice is once: a job that is being cancelled, or ended, stays as it is."""
    return post(f"/_pm/jobs/{segment(job)}/cancel", None, reading.job).said(options)


def health(**options: Unpack[Options]) -> Call[bool]:
    """Whether the process answers."""
    return get("/health", reading.healthy).said(options)


def ready(**options: Unpack[Options]) -> Call[Readiness]:
    """Whether the gateway serves: it reaches MongoDB and has a policy in force."""
    return replace(get("/ready", reading.ready).said(options), takes=frozenset({200, 503}))


def openapi(**options: Unpack[Options]) -> Call[Document]:
    """What the caller may ask, as OpenAPI 3.1."""
    return get("/_pm/openapi.json", reading.told).said(options)


def audit_pages(asked: AuditOptions) -> Pages:
    require_known(asked, AuditOptions, of="audit")
    return lambda limit, cursor: _audit(limit, cursor, asked)


def _audit(limit: int | None, cursor: str | None, asked: AuditOptions) -> Call[Page]:
    named = asked.get("id")
    query = {
        "_limit": limit,
        "_cursor": cursor,
        "_from": _moment(asked.get("since")),
        "_to": _moment(asked.get("until")),
        "kind": asked.get("kind"),
        "subject": asked.get("subject"),
        "action": asked.get("action"),
        "collection": asked.get("collection"),
        "id": None if named is None else id_text(named),
        "batch": asked.get("batch"),
        "request_id": asked.get("request_id"),
        "code": asked.get("code"),
    }
    return get("/_pm/audit", _PLAIN.page, query).said(asked)


def policy(**options: Unpack[Options]) -> Call[Document]:
    """The files of the policy as they are written, with their hashes."""
    return get("/_pm/policy", reading.told).said(options)


def check_policy(files: Files, **options: Unpack[Options]) -> Call[Document]:
    """What is wrong with files of a policy, sent as texts."""
    return post("/_pm/policy/check", {"files": files}, reading.told).said(options)


def try_policy(files: Files | None = None, **options: Unpack[Options]) -> Call[Document]:
    """What the policy tests come to with these files."""
    return post("/_pm/policy/test", {} if files is None else {"files": files}, reading.told).said(options)


def diff_policy(
    files: Files, roles: Sequence[Sequence[str]] | None = None, **options: Unpack[Options]
) -> Call[Document]:
    """What each role gains and loses by these files."""
    body = {"files": files} if roles is None else {"files": files, "roles": roles}
    return post("/_pm/policy/diff", body, reading.told).said(options)


def write_policy(text: str, if_match: str, file: str = "policy.yml", **options: Unpack[Options]) -> Call[Document]:
    """It takes no idempotency key, and a second time it would be told 412: it is not sent again."""
    tag = plain(if_match, "if_match")
    call = replace(post("/_pm/policy", {"files": {file: text}}, reading.told), method="PUT", repeats="never").said(
        options
    )
    return replace(call, headers={**call.headers, "if-match": tag if tag.startswith('"') else f'"{tag}"'})


def sync_hierarchy(
    tenant: str | None = None, user_collection: str | None = None, **options: Unpack[Options]
) -> Call[dict[str, int]]:
    """Twice is once: the hierarchy is found anew from what is stored."""
    asked = {"tenant_id": tenant, "user_collection": user_collection}
    body = {name: value for name, value in asked.items() if value is not None}
    return post("/_pm/hierarchy/sync", body, reading.counts).said(options)


def _moment(moment: datetime | str | None) -> str | None:
    return moment_text(moment) if isinstance(moment, datetime) else moment
