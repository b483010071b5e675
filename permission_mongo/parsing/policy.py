"""Files of a policy, sent as texts -> operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from permission_mongo.documents.etags import Tags
from permission_mongo.errors import InvalidRequest, PayloadTooLarge
from permission_mongo.operations import CheckPolicy, WritePolicy
from permission_mongo.parsing.fields import read_body, require_known

MOST_BYTES: Final = 2**20  # of all texts: what takes long to check is checked by the command
_POLICY: Final = ("policy.yml", "policy.yaml")
_KNOWN: Final = ("schema.yml", "schema.yaml", *_POLICY)


def read_check_policy(body: bytes) -> CheckPolicy:
    """`{"files": {"policy.yml"?: text, "schema.yml"?: text}}`."""
    return CheckPolicy(_files(body, _KNOWN))


def read_write_policy(body: bytes, if_match: Tags | None) -> WritePolicy:
    """`{"files": {"policy.yml": text}}`, with `If-Match`."""
    [(name, text)] = _files(body, _POLICY).items()
    if if_match is None or if_match.anything:
        raise InvalidRequest("If-Match: expected the hash of the file as it was read")
    return WritePolicy(name, text, if_match)


def _files(body: bytes, known: tuple[str, ...]) -> Mapping[str, str]:
    found = read_body(body)
    require_known(found, ("files",))
    files = found.get("files")
    if not isinstance(files, Mapping) or not files:
        raise InvalidRequest("files: expected the texts of files by their names")
    require_known(files, known, "file")
    kinds = [name.partition(".")[0] for name in files]
    if len(set(kinds)) < len(kinds):
        raise InvalidRequest("files: each of them once, whatever its ending")
    for name, text in files.items():
        if not isinstance(text, str):
            raise InvalidRequest(f"files.{name}: expected a text")
    if sum(len(text.encode()) for text in files.values()) > MOST_BYTES:
        raise PayloadTooLarge(f"the files are larger than {MOST_BYTES} bytes", max_bytes=MOST_BYTES)
    return files
