"""Files of a policy, sent as texts -> operations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from permission_mongo.documents.etags import Tags
from permission_mongo.errors import InvalidRequest, PayloadTooLarge
from permission_mongo.operations import CheckPolicy, ComparePolicy, RunPolicyTests, WritePolicy
from permission_mongo.parsing.fields import read_body, require_known

MOST_BYTES: Final = 2**20  # of all texts: what takes long to check is checked by the command
_POLICY: Final = ("policy.yml", "policy.yaml")
_KNOWN: Final = ("schema.yml", "schema.yaml", *_POLICY)
_TESTED: Final = (*_KNOWN, "policy_tests.yml", "policy_tests.yaml")
_MOST_SETS: Final = 20


def read_check_policy(body: bytes) -> CheckPolicy:
    """`{"files": {"policy.yml"?: text, "schema.yml"?: text}}`."""
    found = read_body(body)
    require_known(found, ("files",))
    return CheckPolicy(_files(found, _KNOWN))


def read_run_tests(body: bytes) -> RunPolicyTests:
    """`{"files"?: {"policy.yml"?: text, "schema.yml"?: text, "policy_tests.yml"?: text}}`."""
    found = read_body(body)
    require_known(found, ("files",))
    return RunPolicyTests(_files(found, _TESTED) if "files" in found else {})


def read_compare_policy(body: bytes) -> ComparePolicy:
    """`{"files": {"policy.yml"?: text, "schema.yml"?: text}, "roles"?: [[role, role], ...], "live"?: bool}`."""
    found = read_body(body)
    require_known(found, ("files", "roles", "live"))
    files, live = _files(found, _KNOWN), found.get("live", False)
    if not isinstance(live, bool):
        raise InvalidRequest("live: expected true or false")
    if live and not files.keys() <= {*_POLICY}:
        # What a schema says is tried in a process of its own, where no document is.
        raise InvalidRequest("live: documents are counted for another policy, not for another schema")
    return ComparePolicy(files, tuple(_role_sets(found.get("roles", []))), live)


def _role_sets(sent: object) -> Iterator[tuple[str, ...]]:
    if not isinstance(sent, list) or len(sent) > _MOST_SETS:
        raise InvalidRequest(f"roles: expected at most {_MOST_SETS} lists of roles that are held together")
    for n, one in enumerate(sent):
        if not isinstance(one, list) or not one or not all(isinstance(role, str) for role in one):
            raise InvalidRequest(f"roles[{n}]: expected a list of names of roles")
        yield tuple(one)


def read_write_policy(body: bytes, if_match: Tags | None) -> WritePolicy:
    """`{"files": {"policy.yml": text}}`, with `If-Match`."""
    found = read_body(body)
    require_known(found, ("files",))
    [(name, text)] = _files(found, _POLICY).items()
    if if_match is None or if_match.anything:
        raise InvalidRequest("If-Match: expected the hash of the file as it was read")
    return WritePolicy(name, text, if_match)


def _files(found: Mapping[str, object], known: tuple[str, ...]) -> Mapping[str, str]:
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
