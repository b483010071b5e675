"""`permission-mongo explain`: how the rules judge one request, for who runs the gateway."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from permission_mongo.assembly import explained_here
from permission_mongo.cli.credentials import address_of_mongodb, split
from permission_mongo.cli.explained import as_text
from permission_mongo.cli.options import Commands, add_namespace, config_in
from permission_mongo.config.model import Auth, Config
from permission_mongo.errors import Refusal
from permission_mongo.operations import Explain
from permission_mongo.parsing.explain import explain_of, read_claims
from permission_mongo.planning.callers import Asking
from permission_mongo.policy.rules import ACTIONS
from permission_mongo.principal import Principal
from permission_mongo.values import read_json, utc_now, write_json

_WRONG_USE: Final = 2
_OPERATOR: Final = Principal("the command line", None, frozenset(), {}, "token")


def add_explain(commands: Commands) -> None:
    explain = commands.add_parser("explain", help="how the rules judge a request, and what would change it")
    add_namespace(explain)
    explain.add_argument("action", choices=ACTIONS, metavar="ACTION", help=", ".join(ACTIONS))
    explain.add_argument("collection", metavar="COLLECTION")
    explain.add_argument("id", nargs="?", metavar="ID", help="of the document that is asked for")
    explain.add_argument("--as", dest="claims", metavar="CLAIMS", help="the caller's claims, as JSON or @FILE")
    explain.add_argument("--sub", help="the caller's name, where not in the claims")
    explain.add_argument("--tenant", help="the caller's tenant, where not in the claims")
    explain.add_argument("--roles", help="the caller's roles, with commas between them, where not in the claims")
    explain.add_argument("--filter", metavar="JSON", help="what is asked for, instead of an id")
    explain.add_argument("--uri", metavar="URI", help="default: mongodb.uri")
    explain.add_argument("--json", action="store_true", help="for tools")
    explain.set_defaults(run=_explain)


def _explain(options: argparse.Namespace) -> int:
    config = config_in(options)
    try:
        operation = _operation(options, config)
        told = _told(config, options.uri, operation)
    except (Refusal, OSError, ValueError) as error:
        print(f"permission-mongo explain: {error}", file=sys.stderr)
        return _WRONG_USE
    if options.json:
        sys.stdout.write(write_json(told).decode() + "\n")
    else:
        print(as_text(told, colours=sys.stdout.isatty()))
    return 0 if told["allowed"] else 1


def _operation(options: argparse.Namespace, config: Config) -> Explain:
    asked: dict[str, Any] = {"action": options.action, "collection": options.collection}
    if options.id is not None:
        asked["id"] = options.id
    if options.filter is not None:
        asked["filter"] = read_json(options.filter.encode())
    whom = read_claims(_claims(options, config.auth), config.auth, "--as")
    return explain_of(asked, config, whom)


def _claims(options: argparse.Namespace, auth: Auth) -> Mapping[str, Any]:
    """What the flags say, over what the claims say."""
    text = options.claims or "{}"
    claims = read_json(Path(text[1:]).read_bytes() if text.startswith("@") else text.encode())
    if not isinstance(claims, dict):
        raise ValueError("--as: expected a JSON object, or @FILE with one")
    named = {auth.user_claim: options.sub, auth.tenant_claim: options.tenant}
    if options.roles is not None:
        named[auth.roles_claim] = split(options.roles)
    return {**claims, **{name: value for name, value in named.items() if value is not None}}


def _told(config: Config, uri: str | None, operation: Explain) -> Mapping[str, Any]:
    asking = Asking(_OPERATOR, utc_now(), {"method": "POST", "ip": None}, "explain")
    if uri is not None:
        return asyncio.run(explained_here(config, uri, operation, asking))
    with address_of_mongodb(config) as address:
        return asyncio.run(explained_here(config, address, operation, asking))
