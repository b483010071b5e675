"""The files of the policy, checked as texts and replaced on disk. Reads and writes files: call it in a thread."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeVar

from permission_mongo.config.load import Loaded, load_with_trees
from permission_mongo.config.model import Config
from permission_mongo.config.yaml import read_yaml
from permission_mongo.documents.etags import Tags
from permission_mongo.errors import (
    Conflict,
    Finding,
    InvalidRequest,
    Misconfigured,
    PreconditionFailed,
)
from permission_mongo.impact.compare import compare
from permission_mongo.impact.reports import told as changes_told
from permission_mongo.linting.table import lint
from permission_mongo.trials.coverage import Coverage
from permission_mongo.trials.load import load_tested, require_tested
from permission_mongo.trials.reports import told as tests_told
from permission_mongo.trials.run import run_tests

if sys.platform != "win32":
    import fcntl

_CONFIG: Final = "config.yaml"
# What stands in a file without a default: the text itself is put in, so that no finding tells a value of the machine.
_VARIABLE: Final = re.compile(r"\$\{ENV\.([A-Za-z_][A-Za-z0-9_]*)\}")
_ONE: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="policy-files")
T = TypeVar("T")


async def in_turn(work: Callable[[], T]) -> T:
    """The work in a thread, one after the other."""
    return await asyncio.get_running_loop().run_in_executor(_ONE, work)


def findings_of(texts: Mapping[str, str]) -> list[Finding]:
    """What is wrong with a schema and a policy. Nothing of the environment is put in."""
    try:
        loaded = _read(texts)
        require_tested(loaded.config)
        found: Iterable[Finding] = [*loaded.config.warnings, *lint(loaded)]
    except Misconfigured as error:
        found = error.findings
    return [one for one in found if one.file != _CONFIG]


def results_of(texts: Mapping[str, str]) -> dict[str, Any]:
    """What the policy tests among the texts come to, and which rules they touch. InvalidRequest for mistakes."""
    config, coverage = sound(texts), Coverage()
    results = run_tests(config, coverage)
    return tests_told(results, coverage.of(config.policy.rules.values()))


def changes_of(
    loaded: Mapping[str, str], texts: Mapping[str, str], beside: Iterable[tuple[str, ...]]
) -> dict[str, Any]:
    """What each role gains and loses from the loaded texts to the others. InvalidRequest for mistakes, and for roles
    of `beside` that neither knows.
    """
    old, new = sound(loaded), sound(texts)
    sets = tuple(beside)
    for role in (role for one in sets for role in one):
        if role not in old.policy.roles and role not in new.policy.roles:
            raise InvalidRequest(f"roles: no policy has a role {role!r}")
    return changes_told(compare(old, new, sets), None)


def sound(texts: Mapping[str, str]) -> Config:
    """The configuration of these texts alone. InvalidRequest for mistakes."""
    try:
        return _read(texts).config
    except Misconfigured as error:
        raise InvalidRequest("the files have mistakes", findings=findings_told(error.findings)) from error


def _read(texts: Mapping[str, str]) -> Loaded:
    """A schema and a policy alone: a variable of the environment is taken as it is written."""
    names = {name for text in texts.values() for name in _VARIABLE.findall(text)}
    with tempfile.TemporaryDirectory(prefix="permission-mongo-") as place:
        folder = Path(place)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", newline="")
        (folder / _CONFIG).write_text("")
        return load_with_trees(folder, {name: f"${{ENV.{name}}}" for name in names})


def findings_told(findings: Iterable[Finding]) -> list[dict[str, object]]:
    return [one.told() for one in findings]


def replace_file(folder: Path, name: str, wanted: Tags, texts: Mapping[str, str]) -> str:
    """The new file's SHA-256. PreconditionFailed if the file is not the one that is wanted, InvalidRequest for a text
    with which the gateway would not start, or that reads variables of the environment which the file did not, Conflict
    where the file can't be written.

    `texts` are all files of the policy as they will be. The file is there whole at every moment, old or new.
    """
    path, text = Path(os.path.realpath(folder / name)), texts[name]
    with _locked(path.parent):
        _require(wanted, path)
        _require_no_further_variables(path, text)
        _require_sound(folder, name, texts)
        try:
            _put(path, text.encode())
        except OSError as error:
            raise Conflict(f"{name} can't be written here") from error
    return sha256(text.encode()).hexdigest()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Processes of one machine take turns."""
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _require(wanted: Tags, path: Path) -> None:
    present = sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    if not wanted.has_strong(f'"{present}"'):
        raise PreconditionFailed("the file is not the one that If-Match names; read it again")


def _require_no_further_variables(path: Path, text: str) -> None:
    """What a rule compares with is told to who may explain: secrets of the machine are none of the writer's."""
    present = path.read_bytes().decode(errors="replace") if path.is_file() else ""
    further = _variables_of(text) - _variables_of(present)
    if further:
        names = ", ".join(sorted(further))
        raise InvalidRequest(f"the file would read {names} of the environment, as it did not before")


def _variables_of(text: str) -> frozenset[str]:
    """As the reader of the file finds them, however they are spelled."""
    asked = _Asked()
    read_yaml(text, "", asked)
    return frozenset(asked.names)


class _Asked(Mapping[str, str]):
    """An environment in which nothing is, and which knows what it was asked for."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _require_sound(folder: Path, name: str, texts: Mapping[str, str]) -> None:
    wrong = [one for one in findings_of(texts) if not one.warning]
    if wrong:
        raise InvalidRequest("the policy has mistakes", findings=findings_told(wrong))
    with tempfile.TemporaryDirectory(prefix="permission-mongo-") as place:
        for one in folder.iterdir():
            if one.name != name:
                (Path(place) / one.name).symlink_to(one.resolve())
        (Path(place) / name).write_text(texts[name], encoding="utf-8", newline="")
        try:
            load_tested(Path(place))
        except Misconfigured as error:
            # What is wrong here may hold values of the environment.
            told = "with this machine's environment, hooks and policy tests the policy has mistakes; check it there"
            raise InvalidRequest(told) from error


def _put(path: Path, content: bytes) -> None:
    mode = path.stat().st_mode & 0o777
    descriptor, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
