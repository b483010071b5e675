"""Tokens that are good no longer: `permission-mongo tokens`."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from permission_mongo.cli.credentials import address_of_mongodb, lifetime
from permission_mongo.cli.options import Commands, add_config
from permission_mongo.config.load import load_config
from permission_mongo.errors import StartupFailure
from permission_mongo.storage.connection import new_client, require_server
from permission_mongo.storage.revocations import MongoRevocations
from permission_mongo.values import utc_now

_LONGEST: Final = 1024


def add_tokens(commands: Commands) -> None:
    tokens = commands.add_parser("tokens", help="revoke tokens, and list what is revoked")
    actions = tokens.add_subparsers(title="actions", required=True)
    revoke = actions.add_parser("revoke", help="end tokens; gateways refuse them within two seconds")
    which = revoke.add_mutually_exclusive_group(required=True)
    which.add_argument("--jti", help="the one token with this 'jti'")
    which.add_argument("--sub", help="all tokens of this subject that were issued up to now, or up to --before")
    revoke.add_argument("--before", metavar="TIME", help="with --sub: 2027-03-01T12:00:00Z, or 15m for so long ago")
    revoke.add_argument(
        "--lifetime",
        metavar="TIME",
        help="the longest that tokens live, such as 12h: then the entry is removed",
    )
    revoke.set_defaults(run=_revoke)
    listing = actions.add_parser("list", help="what is revoked")
    listing.set_defaults(run=_list)
    for action in (revoke, listing):
        add_config(action)


def _revoke(options: argparse.Namespace) -> int:
    now = utc_now()
    if options.jti is not None and options.before is not None:
        raise StartupFailure("--before goes with --sub; a token with a 'jti' is revoked whenever it was issued")
    name = options.sub if options.jti is None else options.jti
    if not 0 < len(name) <= _LONGEST:
        raise StartupFailure(f"--jti and --sub take 1 to {_LONGEST} characters")
    before = now if options.before is None else _moment(options.before, now)
    within = None if options.lifetime is None else lifetime(options.lifetime, "--lifetime")

    async def revoke(store: MongoRevocations, leeway: float) -> None:
        longest = None if within is None else within + timedelta(seconds=leeway)
        await store.add("sub" if options.jti is None else "jti", name, before, longest)
        print(f"revoked {name}" if options.jti is not None else f"revoked {name}, up to {_written(before)}")

    return _with_store(options, revoke)


def _list(options: argparse.Namespace) -> int:
    async def listing(store: MongoRevocations, _: float) -> None:
        for one in await store.all():
            until = "kept" if one.expires_at is None else f"until {_written(one.expires_at)}"
            print(f"{one.kind}  {one.name}  {_written(one.before)}  {until}")

    return _with_store(options, listing)


def _with_store(options: argparse.Namespace, use: Callable[[MongoRevocations, float], Awaitable[None]]) -> int:
    """`use` is also handed the seconds that a token is taken for beyond its end."""
    config = load_config(options.config)

    async def connected(uri: str) -> None:
        async with new_client(uri, config.mongodb) as client:
            await require_server(client)
            await use(MongoRevocations(client[config.mongodb.database]), config.auth.leeway)

    with address_of_mongodb(config) as uri:
        asyncio.run(connected(uri))
    return 0


def _moment(text: str, now: datetime) -> datetime:
    """Naive UTC. A later one than now would end tokens that nobody has been given yet."""
    try:
        found = datetime.fromisoformat(text)
        moment = found.replace(tzinfo=None) if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)
    except ValueError:
        moment = now - lifetime(text, "--before")
    if moment > now:
        raise StartupFailure("--before is a moment that has passed")
    return moment


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
