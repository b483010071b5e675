"""The command line: one function a command, each returning its exit code.

0 done; 1 the configuration has mistakes; 2 the command was not understood; 3 can't start.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from permission_mongo import __version__
from permission_mongo.cli.audit import add_audit
from permission_mongo.cli.blobs import add_blobs
from permission_mongo.cli.check import add_check
from permission_mongo.cli.credentials import add_keys, add_token
from permission_mongo.cli.explain import add_explain
from permission_mongo.cli.hierarchy import add_hierarchy
from permission_mongo.cli.openapi import add_openapi
from permission_mongo.cli.outbox import add_outbox
from permission_mongo.cli.policy import add_policy
from permission_mongo.cli.purge import add_purge
from permission_mongo.cli.revocations import add_tokens
from permission_mongo.cli.serve import add_serve
from permission_mongo.cli.shapes import add_schema
from permission_mongo.errors import Misconfigured, Refusal, StartupFailure


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except Misconfigured as error:
        print("\n".join(map(str, error.findings)), file=sys.stderr)
        return 1
    except (StartupFailure, Refusal) as error:
        print(f"permission-mongo: {error}", file=sys.stderr)
        return 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="permission-mongo", description="A permission-aware gateway for MongoDB.")
    parser.add_argument("--version", action="version", version=f"permission-mongo {__version__}")
    commands = parser.add_subparsers(title="commands", required=True)
    add_check(commands)
    add_schema(commands)
    add_explain(commands)
    add_openapi(commands)
    add_token(commands)
    add_keys(commands)
    add_audit(commands)
    add_tokens(commands)
    add_purge(commands)
    add_hierarchy(commands)
    add_outbox(commands)
    add_blobs(commands)
    add_serve(commands)
    add_policy(commands)
    return parser
