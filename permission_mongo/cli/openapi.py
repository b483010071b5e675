"""`permission-mongo openapi`: the description of the routes, for generators of clients."""

from __future__ import annotations

import argparse
import sys
from typing import Final

from permission_mongo.cli.options import Commands, add_config
from permission_mongo.config.load import load_config
from permission_mongo.config.model import Config
from permission_mongo.errors import InvalidRequest
from permission_mongo.openapi.audience import Audience, everybody, nobody
from permission_mongo.openapi.document import description
from permission_mongo.parsing.explain import read_claims
from permission_mongo.planning.callers import Asking, Callers
from permission_mongo.planning.describing import audience_of
from permission_mongo.policy.kin import NOBODY
from permission_mongo.values import read_json, utc_now, write_json

_WRONG_USE: Final = 2


def add_openapi(commands: Commands) -> None:
    openapi = commands.add_parser("openapi", help="print what may be asked over HTTP, as OpenAPI 3.1")
    add_config(openapi)
    whom = openapi.add_mutually_exclusive_group()
    whom.add_argument("--as", dest="claims", metavar="CLAIMS", help="for a caller with these claims, as JSON")
    whom.add_argument("--public", action="store_true", help="for who shows no credential; default: all there is")
    openapi.set_defaults(run=_openapi)


def _openapi(options: argparse.Namespace) -> int:
    config = load_config(options.config)
    try:
        found = description(_audience(config, options))
    except (InvalidRequest, ValueError) as error:
        print(f"permission-mongo openapi: {error}", file=sys.stderr)
        return _WRONG_USE
    sys.stdout.write(write_json(found).decode() + "\n")
    return 0


def _audience(config: Config, options: argparse.Namespace) -> Audience:
    if options.claims is not None:
        whom = read_claims(read_json(options.claims.encode()), config.auth, "--as")
        # Without a database nobody is known to be below anybody.
        asking = Asking(whom, utc_now(), {"method": "GET", "ip": None}, "openapi", kin=NOBODY)
        return audience_of(asking, Callers(config, bytes(32)))
    return nobody(config) if options.public and not config.openapi.public else everybody(config)
