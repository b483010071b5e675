"""The peers' own packages, in a folder of theirs: Eve from PyPI, Parse Server from npm. Made once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

FOLDER: Final = Path(__file__).parent.parent.parent / ".venv-peers"
EVE: Final = {"eve": "2.3.0", "gunicorn": "27.0.1"}
PARSE: Final = {"parse-server": "9.10.0"}
_ROUTER: Final = {"router": "2.2.0"}  # Parse Server's paths are not those that a later one takes
_PATIENCE: Final = 900.0  # seconds


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer that is there, in its folder. `versions` of all that is its own."""

    name: str
    folder: Path
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a peer is not there: a sentence."""

    why: str


def installed(name: str) -> Peer | Missing:
    """`eve` or `parse`, put there first if it has to be."""
    return _INSTALLERS[name]()


def _eve() -> Peer | Missing:
    folder = FOLDER / "eve"
    wanted = [f"{name}=={version}" for name, version in EVE.items()]
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
    missing = _made("Eve", folder, EVE, [[sys.executable, "-m", "venv", str(folder)], pip])
    return missing or Peer("eve", folder, EVE)


def _parse() -> Peer | Missing:
    if shutil.which("node") is None or shutil.which("npm") is None:
        return Missing("Parse Server is left out: it needs node and npm, and they are not on this machine")
    folder = FOLDER / "parse"
    folder.mkdir(parents=True, exist_ok=True)
    package = {"private": True, "dependencies": PARSE, "overrides": _ROUTER}
    (folder / "package.json").write_bytes(orjson.dumps(package, option=orjson.OPT_INDENT_2))
    npm = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
    missing = _made("Parse Server", folder, {**PARSE, **_ROUTER}, [npm])
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return missing or Peer("parse", folder, {**PARSE, "node": node.removeprefix("v")})


_INSTALLERS: Final[Mapping[str, Callable[[], Peer | Missing]]] = {"eve": _eve, "parse": _parse}


def _made(name: str, folder: Path, wanted: Mapping[str, str], commands: list[list[str]]) -> Missing | None:
    """None once the folder has what is wanted. What is in it is written down last, so half an install is no install."""
    kept = folder / "installed.json"
    if kept.exists() and orjson.loads(kept.read_bytes()) == wanted:
        return None
    print(f"installing {name} into {folder} (once) ...", file=sys.stderr, flush=True)
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return Missing(f"{name} is left out: {error}")
        if done.returncode:
            said = " ".join((done.stderr or done.stdout).split())[-300:]
            return Missing(f"{name} is left out, for it could not be installed: {said}")
    kept.write_bytes(orjson.dumps(wanted))
    return None
