"""`permission-mongo policy test`: the policy's own tests.

0 all passed; 1 a test fails, or too few rules are touched; 2 the configuration is broken, or there is nothing to run.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from permission_mongo.cli.diff import add_diff
from permission_mongo.cli.options import Commands, loaded
from permission_mongo.errors import StartupFailure
from permission_mongo.trials.coverage import Coverage, share
from permission_mongo.trials.reports import as_json, as_junit, as_tap, coverage_in_words, in_words
from permission_mongo.trials.run import run_tests


def add_policy(commands: Commands) -> None:
    policy = commands.add_parser("policy", help="test a policy, or tell what a change of it changes")
    inner = policy.add_subparsers(title="commands", required=True)
    _add_test(inner)
    add_diff(inner)


def _add_test(commands: Commands) -> None:
    test = commands.add_parser("test", help="run policy_tests.yml")
    test.add_argument("config", type=Path, metavar="DIR", help="the folder of policy.yml and policy_tests.yml")
    form = test.add_mutually_exclusive_group()
    form.add_argument("--tap", action="store_true", help="TAP version 14")
    form.add_argument("--json", action="store_true", help="for tools")
    test.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML there as well")
    test.add_argument("--coverage", action="store_true", help="name the rules that no test touches")
    test.add_argument("--min-coverage", type=float, metavar="N", help="fail below N per cent of the rules")
    test.add_argument("--only", metavar="NAME", help="tests whose name has this text")
    test.set_defaults(run=_test)


def _test(options: argparse.Namespace) -> int:
    config = loaded(options.config)
    if config is None:
        return 2
    coverage = Coverage()
    results = run_tests(config, coverage, lambda case: options.only is None or options.only in case.name)
    if not results:
        where = "no policy test" if options.only is None else f"no policy test whose name has '{options.only}'"
        print(f"permission-mongo: {where} in {options.config}", file=sys.stderr)
        return 2
    touched = coverage.of(config.policy.rules.values())
    if options.json:
        print(as_json(results, touched if options.coverage else None))
    else:
        print(as_tap(results) if options.tap else in_words(results))
    if options.coverage and not options.json:
        # TAP is for a reader of its own: what is no part of it goes where messages go.
        print(coverage_in_words(touched), file=sys.stderr if options.tap else sys.stdout)
    if options.junit is not None:
        _write(options.junit, as_junit(results))
    least = options.min_coverage
    if least is not None and share(touched) < least:
        print(f"permission-mongo: {share(touched):.1f} % of the rules are touched, fewer than {least}", file=sys.stderr)
        return 1
    return int(any(result.faults for result in results))


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise StartupFailure(f"{file} can't be written: {error.strerror}") from error
