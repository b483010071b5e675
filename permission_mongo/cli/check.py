"""`permission-mongo check`: every mistake of a configuration, and what in it can hardly be meant.

0 clean, warnings allowed; 1 mistakes, or warnings with `--strict`; 2 wrong use.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from permission_mongo.cli.findings import Lines, as_json, counts, for_github, for_people, lines_of
from permission_mongo.cli.options import Commands
from permission_mongo.config.load import Loaded, load_with_trees
from permission_mongo.errors import Finding, Misconfigured, StartupFailure
from permission_mongo.linting.planner import probes, told_of
from permission_mongo.linting.subject import Subject
from permission_mongo.linting.table import is_waived, lint
from permission_mongo.storage.index_use import index_uses
from permission_mongo.trials.load import require_tested


def add_check(commands: Commands) -> None:
    check = commands.add_parser("check", help="name every mistake in a configuration, with its place")
    check.add_argument("config", type=Path, metavar="DIR", help="the folder of config.yaml, schema.yml and policy.yml")
    form = check.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for tools")
    form.add_argument("--github", action="store_true", help="as annotations of a GitHub workflow")
    check.add_argument("--strict", action="store_true", help="exit with 1 for warnings too")
    check.add_argument("--uri", metavar="URI", help="ask this MongoDB how it would look for what each rule lists")
    check.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> int:
    if not options.config.exists():
        print(f"permission-mongo check: {options.config}: not found", file=sys.stderr)
        return 2
    folder = options.config if options.config.is_dir() else options.config.parent
    try:
        loaded = load_with_trees(options.config)
        require_tested(loaded.config)
        found = [*loaded.config.warnings, *lint(loaded), *_of_the_planner(loaded, options.uri)]
    except Misconfigured as error:
        return _tell(options, folder, error.findings)
    except StartupFailure as error:
        print(f"permission-mongo check: {error}", file=sys.stderr)
        return 2
    lines = lines_of(folder, found)
    kept = sorted(one for one in found if not is_waived(one, lines.get(one.file, ())))
    return _tell(options, folder, kept, _summary(loaded, options.config))


def _of_the_planner(loaded: Loaded, uri: str | None) -> Iterable[Finding]:
    if uri is None:
        return ()
    subject = Subject(loaded)
    asked = tuple(probes(subject))
    uses = asyncio.run(index_uses(uri, loaded.config.mongodb, asked))
    told = (told_of(subject, probe, use) for probe, use in zip(asked, uses, strict=True))
    return [one for one in told if one is not None]


def _summary(loaded: Loaded, place: Path) -> str:
    config = loaded.config
    rules, roles = len(config.policy.rules), len(config.policy.roles)
    return f"{place}: {len(config.collections)} collections, {roles} roles, {rules} rules"


def _tell(options: argparse.Namespace, folder: Path, findings: Sequence[Finding], summary: str = "") -> int:
    """Print what was found; the exit code. Without a summary the configuration could not be read."""
    number = counts(findings)
    if options.json:
        print(as_json(findings))
    elif options.github:
        print("".join(f"{for_github(one, folder)}\n" for one in findings), end="")
    else:
        print(_report(findings, lines_of(folder, findings), summary))
    return int(number["errors"] > 0 or (options.strict and number["warnings"] > 0))


def _report(findings: Sequence[Finding], lines: Lines, summary: str) -> str:
    told = [for_people(one, lines) for one in findings]
    number = counts(findings)
    if number["errors"]:
        told.append(_counted("mistake", number["errors"]))
        if not summary:
            told[-1] += "; what else could be meant otherwise is looked for once they are mended"
    elif number["warnings"]:
        told.append(f"{summary}: {_counted('warning', number['warnings'])}")
    else:
        told.append(f"{summary}: fine")
    return "\n".join(told)


def _counted(word: str, number: int) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
