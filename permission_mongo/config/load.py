"""A folder of YAML files -> one checked Config, or every mistake at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

from permission_mongo.config.computed import shade_computed
from permission_mongo.config.model import Config
from permission_mongo.config.policy import read_policy
from permission_mongo.config.schema import read_collections
from permission_mongo.config.section import Section
from permission_mongo.config.server import read_settings
from permission_mongo.config.yaml import Map, Mark, read_yaml
from permission_mongo.errors import Finding, Misconfigured
from permission_mongo.policy.grants import Policy

_GO_NAMES = ("server.yml", "server.yaml")
_NAMES = {
    "config": ("config.yaml", "config.yml", *_GO_NAMES),
    "schema": ("schema.yml", "schema.yaml"),
    "policy": ("policy.yml", "policy.yaml"),
}
_SHORT = 16  # digits: as many as a person compares
_UNAVAILABLE = ("hooks.yml", "hooks.yaml", "policy_tests.yml", "policy_tests.yaml")


def load_config(place: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Read `place`, a folder or the config.yaml in one. Misconfigured names all mistakes of all files."""
    environment = os.environ if environment is None else environment
    folder = folder_of(place)
    findings: list[Finding] = []
    roots = {kind: _root(kind, folder, environment, findings) for kind in _NAMES}
    findings += [Finding(n, 0, 0, "is not available in this version") for n in _UNAVAILABLE if (folder / n).exists()]
    settings = read_settings(roots["config"], folder, environment)
    collections = read_collections(roots["schema"])
    text = read_policy(roots["policy"], collections)
    if not collections and not findings:
        findings.append(Finding("schema.yml", 0, 0, "declares no collection: there would be nothing to serve"))
    if any(not finding.warning for finding in findings):
        raise Misconfigured(sorted(set(findings), key=lambda one: (one.warning, one.file, one.line, one.column)))
    return Config(
        collections,
        Policy(shade_computed(text.rules, collections), text.roles),
        settings.server,
        settings.mongodb,
        settings.auth,
        settings.limits,
        settings.audit,
        settings.metrics,
        settings.logging,
        tuple(findings),
        digest_of(folder),
        digest_of(folder, ("schema",))[:_SHORT],
        digest_of(folder, ("schema", "policy"))[:_SHORT],
    )


def folder_of(place: Path) -> Path:
    return place if place.is_dir() else place.parent


def files_of(folder: Path, kinds: Iterable[str] = tuple(_NAMES)) -> list[Path]:
    """Every file that a configuration could have, present or not."""
    return [folder / name for kind in kinds for name in _NAMES[kind]] + [folder / name for name in _UNAVAILABLE]


def digest_of(folder: Path, kinds: Iterable[str] = tuple(_NAMES)) -> str:
    """SHA-256 of the contents of the files; another name for the same content is another digest."""
    digest = sha256()
    for file in files_of(folder, kinds):
        digest.update(sha256(file.read_bytes()).digest() if file.is_file() else b"\x00")
    return digest.hexdigest()


def _root(kind: str, folder: Path, environment: Mapping[str, str], findings: list[Finding]) -> Section:
    found = [folder / name for name in _NAMES[kind] if (folder / name).is_file()]
    name = found[0].name if found else _NAMES[kind][0]
    empty = Map({}, {}, Mark(name, 1, 1))
    if not found:
        where = f"in {folder}" if folder.is_dir() else f"{folder} is no folder"
        findings.append(Finding(name, 0, 0, f"not found ({where})"))
        return Section(empty, findings)
    if len(found) > 1:
        findings.append(Finding(found[1].name, 0, 0, f"stands beside {name}; keep one of them"))
    if name in _GO_NAMES:
        findings.append(Finding(name, 0, 0, "is read as config.yaml", warning=True))
    content = found[0].read_bytes()
    try:
        text = content.decode()
    except UnicodeDecodeError:
        findings.append(Finding(name, 0, 0, "is not UTF-8"))
        return Section(empty, findings)
    tree, wrong = read_yaml(text, name, environment)
    findings += wrong
    return Section(tree, findings)
