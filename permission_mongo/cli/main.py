"""The command line: one function a command, each returning its exit code.

0 done; 1 the configuration has mistakes; 2 the command was not understood; 3 can't start.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from permission_mongo import __version__
from permission_mongo.cli.audit import add_audit
from permission_mongo.cli.credentials import add_keys, add_token
from permission_mongo.cli.options import Commands
from permission_mongo.cli.purge import add_purge
from permission_mongo.cli.revocations import add_tokens
from permission_mongo.cli.serve import add_serve
from permission_mongo.config.load import load_config
from permission_mongo.errors import Finding, Misconfigured, Refusal, StartupFailure
from permission_mongo.values import write_json


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except Misconfigured as error:
        _print_findings(error.findings, as_json=False)
        return 1
    except (StartupFailure, Refusal) as error:
        print(f"permission-mongo: {error}", file=sys.stderr)
        return 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="permission-mongo", description="A permission-aware gateway for MongoDB.")
    parser.add_argument("--version", action="version", version=f"permission-mongo {__version__}")
    commands = parser.add_subparsers(title="commands", required=True)
    _add_check(commands)
    add_token(commands)
    add_keys(commands)
    add_audit(commands)
    add_tokens(commands)
    add_purge(commands)
    add_serve(commands)
    return parser


def _add_check(commands: Commands) -> None:
    check = commands.add_parser("check", help="name every mistake in a configuration, with its place")
    check.add_argument("config", type=Path, metavar="DIR", help="the folder of config.yaml, schema.yml and policy.yml")
    check.add_argument("--json", action="store_true", help="for tools")
    check.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> int:
    try:
        config = load_config(options.config)
    except Misconfigured as error:
        _print_findings(error.findings, as_json=options.json)
        return 1
    _print_findings(config.warnings, as_json=options.json)
    if not options.json:
        rules, roles = len(config.policy.rules), len(config.policy.roles)
        about = f"{len(config.collections)} collections, {roles} roles, {rules} rules"
        print(f"{options.config}: {about}: fine (policy {config.policy_digest})")
    return 0


def _print_findings(findings: Sequence[Finding], *, as_json: bool) -> None:
    if as_json:
        fields = ("file", "line", "column", "message", "warning")
        rows = [{name: getattr(finding, name) for name in fields} for finding in findings]
        sys.stdout.write(write_json({"findings": rows}).decode() + "\n")
        return
    for finding in findings:
        print(finding, file=sys.stderr)
    errors = sum(not finding.warning for finding in findings)
    if errors:
        print(f"{errors} mistake{'s' if errors > 1 else ''}", file=sys.stderr)
