"""`blobs` of config.yaml: where the bytes of fields of type blob are kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from permission_mongo.addresses import fault_of_url
from permission_mongo.config.model import Blobs, S3Store
from permission_mongo.config.section import Section

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
LONGEST_LIFE: Final = 7 * 24 * 3600.0  # seconds: a store signs no URL for longer


def read_blobs(section: Section, environment: Mapping[str, str]) -> Blobs:
    """Findings for a store that is not whole; the secrets of one are taken from the environment alone."""
    store = section.choice("store", "gridfs", ["gridfs", "s3"])
    life = section.seconds("url_ttl", Blobs().url_ttl)
    if not 1 <= life <= LONGEST_LIFE:
        section.wrong("url_ttl", "'blobs.url_ttl' is from 1s to 7 days")
    grace = section.seconds("grace", Blobs().grace)
    if grace < Blobs.SHORTEST_GRACE:
        section.wrong("grace", "'blobs.grace' is at least 1h: younger bytes may belong to a write under way")
    if store != "s3" and section.has("s3"):
        section.wrong("s3", "'blobs.s3' is read by nobody: 'blobs.store' is not s3")
    s3 = _s3(section.section("s3"), environment, is_used=store == "s3")
    section.done()
    return Blobs(life, grace, s3)


def _s3(section: Section, environment: Mapping[str, str], *, is_used: bool) -> S3Store | None:
    endpoint, bucket = section.optional_text("endpoint"), section.text("bucket")
    fault = None if endpoint is None else fault_of_url(endpoint)
    if is_used and fault is not None:
        section.wrong("endpoint", f"'blobs.s3.endpoint' {fault}")
    if is_used and not _BUCKET.fullmatch(bucket):
        section.wrong("bucket", "'blobs.s3.bucket' names a bucket: 3 to 63 of a-z, 0-9, '.' and '-'")
    found = S3Store(
        bucket,
        endpoint,
        section.text("region", "us-east-1"),
        _secret(section, "access_key_env", "AWS_ACCESS_KEY_ID", environment if is_used else None),
        _secret(section, "secret_key_env", "AWS_SECRET_ACCESS_KEY", environment if is_used else None),
        section.boolean("path_style", False),
    )
    section.done()
    return found if is_used else None


def _secret(section: Section, key: str, default: str, environment: Mapping[str, str] | None) -> str:
    """The variable that `key` names; with an environment there has to be one."""
    name = section.text(key, default)
    found = "" if environment is None else environment.get(name, "")
    if environment is not None and not found:
        section.wrong(key, f"'blobs.s3.{key}': the environment has no variable {name}", code="missing-variable")
    return found
