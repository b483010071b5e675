"""A folder of YAML files -> one checked Config, or every mistake at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from permission_mongo.config.computed import shade_computed
from permission_mongo.config.doors import check_segments
from permission_mongo.config.environment import FromFiles
from permission_mongo.config.hooks import read_hooks
from permission_mongo.config.model import Config, FileText
from permission_mongo.config.policy import open_collection, read_policy
from permission_mongo.config.policy_tests import read_policy_tests
from permission_mongo.config.schema import read_collections
from permission_mongo.config.section import Section
from permission_mongo.config.server import Settings, read_settings
from permission_mongo.config.yaml import Map, Mark, read_yaml
from permission_mongo.errors import Finding, Misconfigured
from permission_mongo.policy.grants import Policy
from permission_mongo.schema.model import Collection

_GO_NAMES = ("server.yml", "server.yaml")
_NAMES = {
    "config": ("config.yaml", "config.yml", *_GO_NAMES),
    "schema": ("schema.yml", "schema.yaml"),
    "policy": ("policy.yml", "policy.yaml"),
    "hooks": ("hooks.yml", "hooks.yaml"),
    "policy_tests": ("policy_tests.yml", "policy_tests.yaml"),
}
_SHORT = 16  # digits: as many as a person compares
_OPTIONAL = ("hooks", "policy_tests")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration with the trees it was read from, by kind: `config`, `schema`, `policy`."""

    config: Config
    trees: Mapping[str, Map]


def load_config(place: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Read `place`, a folder or the config.yaml in one. Misconfigured names all mistakes of all files."""
    return load_with_trees(place, environment).config


def load_with_trees(place: Path, environment: Mapping[str, str] | None = None) -> Loaded:
    """The same, for who tells of places in the files."""
    environment = FromFiles(os.environ) if environment is None else environment
    folder = folder_of(place)
    findings: list[Finding] = []
    roots = {kind: _root(kind, folder, environment, findings) for kind in _NAMES if _is_there(kind, folder)}
    settings = _settings(roots, folder, environment)
    collections = read_collections(roots["schema"])
    known = _as_far_as_read(collections, roots, findings)
    text = read_policy(roots["policy"], known)
    hooks = read_hooks(roots["hooks"], known, text.rules) if "hooks" in roots else {}
    tests = read_policy_tests(roots["policy_tests"], known, text.roles) if "policy_tests" in roots else None
    _require_sound(collections, findings)
    config = Config(
        collections=collections,
        policy=Policy(shade_computed(text.rules, collections), text.roles),
        server=settings.server,
        mongodb=settings.mongodb,
        auth=settings.auth,
        limits=settings.limits,
        audit=settings.audit,
        metrics=settings.metrics,
        logging=settings.logging,
        tracing=settings.tracing,
        warnings=tuple(findings),
        digest=digest_of(folder),
        schema_digest=digest_of(folder, ("schema",))[:_SHORT],
        policy_digest=digest_of(folder, ("schema", "policy"))[:_SHORT],
        tests=tests,
        written=_written(folder),
        folder=folder,
        console=settings.console,
        openapi=settings.openapi,
        hooks=hooks,
        allowed=settings.allowed,
        namespaces=settings.namespaces,
        doors=settings.doors,
        blobs=settings.blobs,
    )
    return Loaded(config, {kind: root.node for kind, root in roots.items()})


def _settings(roots: Mapping[str, Section], folder: Path, environment: Mapping[str, str]) -> Settings:
    settings = read_settings(roots["config"], folder, environment)
    check_segments(settings.doors, roots["schema"].section("collections"))
    return settings


def _require_sound(collections: Mapping[str, Collection], findings: list[Finding]) -> None:
    """Misconfigured where there are mistakes, or nothing to serve."""
    if not collections and not findings:
        message = "declares no collection: there would be nothing to serve"
        findings.append(Finding("schema.yml", 0, 0, message, code="file"))
    if any(not finding.warning for finding in findings):
        raise Misconfigured(sorted(set(findings), key=lambda one: (one.warning, one)))


def _as_far_as_read(
    collections: Mapping[str, Collection], roots: Mapping[str, Section], findings: Sequence[Finding]
) -> Mapping[str, Collection]:
    """What rules are held against. Where schema.yml is broken, all is taken to be there that could not be read:

    a rule's own mistakes are told beside those of the schema, and none that are only its consequences.
    """
    schema = roots["schema"].node
    if not any(one.file == schema.mark.file and not one.warning for one in findings):
        return collections
    declared = schema.entries.get("collections")
    if not isinstance(declared, Map) or not declared.entries:
        policies = roots["policy"].node.entries.get("policies")
        return {name: open_collection(name) for name in (policies.entries if isinstance(policies, Map) else ())}
    return {
        name: one
        if isinstance(section, Map) and isinstance(section.entries.get("fields"), Map)
        else open_collection(name)
        for (name, one), section in zip(collections.items(), declared.entries.values(), strict=True)
    }


def folder_of(place: Path) -> Path:
    return place if place.is_dir() else place.parent


def files_of(folder: Path, kinds: Iterable[str] = tuple(_NAMES)) -> list[Path]:
    """Every file that a configuration could have, present or not."""
    return [folder / name for kind in kinds for name in _NAMES[kind]]


def digest_of(folder: Path, kinds: Iterable[str] = tuple(_NAMES)) -> str:
    """SHA-256 of the contents of the files; another name for the same content is another digest."""
    digest = sha256()
    for file in files_of(folder, kinds):
        digest.update(sha256(file.read_bytes()).digest() if file.is_file() else b"\x00")
    return digest.hexdigest()


def _written(folder: Path) -> dict[str, FileText]:
    """As they stand in their files: what an environment would put in is not in them."""
    found = [folder / name for kind in ("schema", "policy", "policy_tests") for name in _NAMES[kind]]
    contents = {path.name: path.read_bytes() for path in found if path.is_file()}
    return {name: FileText(content.decode(), sha256(content).hexdigest()) for name, content in contents.items()}


def _is_there(kind: str, folder: Path) -> bool:
    """Or is missed: only some files may be left out."""
    return kind not in _OPTIONAL or any(file.is_file() for file in files_of(folder, (kind,)))


def _root(kind: str, folder: Path, environment: Mapping[str, str], findings: list[Finding]) -> Section:
    found = [file for file in files_of(folder, (kind,)) if file.is_file()]
    name = found[0].name if found else _NAMES[kind][0]
    empty = Map({}, {}, Mark(name, 1, 1))
    if not found:
        where = f"in {folder}" if folder.is_dir() else f"{folder} is no folder"
        findings.append(Finding(name, 0, 0, f"not found ({where})", code="file"))
        return Section(empty, findings)
    if len(found) > 1:
        findings.append(Finding(found[1].name, 0, 0, f"stands beside {name}; keep one of them", code="file"))
    if name in _GO_NAMES:
        findings.append(Finding(name, 0, 0, "is read as config.yaml", warning=True, code="other-name"))
    content = found[0].read_bytes()
    try:
        text = content.decode()
    except UnicodeDecodeError:
        findings.append(Finding(name, 0, 0, "is not UTF-8", code="file"))
        return Section(empty, findings)
    tree, wrong = read_yaml(text, name, environment)
    findings += wrong
    return Section(tree, findings)
