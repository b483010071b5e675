"""Keys of the Go gateway's files: read under our names, or taken and told to do nothing here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from permission_mongo.config.section import Section
from permission_mongo.config.yaml import Map

IGNORED: Final[Mapping[str, Mapping[str, str]]] = {
    "": {
        "redis": "policies are kept in memory, and nothing else is cached",
        "cache": "nothing is cached but a hierarchy, by limits.hierarchy_cache",
        "versioning": "versions are kept by each collection's own 'versioning' in schema.yml",
    },
    "server": {"read_timeout": "see 'server.header_timeout' and 'server.body_timeout'"},
    "auth": {"token_expiry": "a token ends when its own 'exp' says so"},
    "audit": {
        "batch_size": "an entry is committed with the write it tells of",
        "flush_interval": "an entry is committed with the write it tells of",
        "buffer_size": "an entry is committed with the write it tells of",
        "collection": "entries are in '_pm_audit'",
    },
}
_LIMITS: Final = ("max_batch_size", "max_result_size", "max_aggregation_stages")


def ignore_go_keys(section: Section, name: str) -> None:
    """A warning for each key that has a meaning there and none here."""
    for key, reason in IGNORED[name].items():
        if section.raw(key) is not None:
            section.wrong(
                key, f"'{f'{name}.' if name else ''}{key}' is ignored: {reason}", warning=True, code="ignored-key"
            )


def with_go_limits(root: Section) -> Section:
    """`limits`, joined by what `scalability` says of them."""
    limits, scalability = root.section("limits"), root.section("scalability")
    entries, keys = dict(limits.node.entries), dict(limits.node.keys)
    for key in _LIMITS:
        node = scalability.raw(key)
        if node is None:
            continue
        if key in entries:
            scalability.wrong(key, f"stands beside 'limits.{key}'; keep that one")
        else:
            entries[key], keys[key] = node, scalability.node.keys[key]
            scalability.wrong(key, f"'scalability.{key}' is read as 'limits.{key}'", warning=True, code="other-name")
    scalability.done()
    return Section(Map(entries, keys, limits.node.mark), root.findings, "limits")


def go_secret(auth: Section) -> str | None:
    """`auth.jwt_secret`, the quickstart's name of `auth.secret`."""
    secret = auth.optional_text("jwt_secret")
    if secret is not None and auth.has("secret"):
        auth.wrong("jwt_secret", "stands beside 'auth.secret'; keep that one")
    elif secret is not None:
        auth.wrong("jwt_secret", "'auth.jwt_secret' is read as 'auth.secret'", warning=True, code="other-name")
    return secret


def check_go_audit(audit: Section) -> None:
    ignore_go_keys(audit, "audit")
    if audit.has("storage"):
        audit.choice("storage", "mongodb", ["mongodb"])
        message = "'audit.storage' is ignored: entries are in MongoDB"
        audit.wrong("storage", message, warning=True, code="ignored-key")
