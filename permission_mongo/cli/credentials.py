"""Tokens for development, and API keys."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from permission_mongo.auth.api_keys import new_key
from permission_mongo.auth.development import development_secret, make_token
from permission_mongo.cli.options import Commands, add_config
from permission_mongo.config.load import load_config
from permission_mongo.config.model import Config
from permission_mongo.config.section import read_duration
from permission_mongo.errors import StartupFailure
from permission_mongo.principal import DEFAULT_NAMESPACE
from permission_mongo.storage.connection import new_client, require_server
from permission_mongo.storage.embedded import running_uri, start_embedded
from permission_mongo.storage.keys import MongoKeyStore
from permission_mongo.storage.mongod import find_mongod
from permission_mongo.values import utc_now


def add_token(commands: Commands) -> None:
    token = commands.add_parser("token", help="a token for development, signed with the HS256 secret in force")
    add_config(token)
    token.add_argument("--sub", required=True, help="who: user.id in rules")
    token.add_argument("--roles", default="", help="comma-separated")
    token.add_argument("--tenant", help="the tenant claim")
    token.add_argument("--namespaces", help="comma-separated; without it the default one")
    token.add_argument("--claim", action="append", default=[], metavar="NAME=VALUE", help="a further claim; repeatable")
    token.add_argument("--expires", default="12h", metavar="TIME", help="such as 15m, 12h or 30d (default 12h)")
    token.set_defaults(run=_token)


def _token(options: argparse.Namespace) -> int:
    config = load_config(options.config)
    auth = with_secret(config).auth
    if auth.family != "HMAC" or not auth.secret:
        raise StartupFailure(f"tokens are made for HS256 only; this configuration takes {auth.algorithms[0]}")
    claims: dict[str, object] = dict(_claim(text) for text in options.claim)
    if options.tenant is not None:
        claims[auth.tenant_claim] = options.tenant
    if options.namespaces is not None:
        claims[auth.namespaces_claim] = _declared(config, options.namespaces)
    for name, value in (("iss", auth.issuer), ("aud", auth.audience)):
        if value is not None:
            claims[name] = value
    expires = int(time.time() + lifetime(options.expires).total_seconds())
    print(make_token(auth.secret, auth.algorithms[0], options.sub, split(options.roles), expires, claims))
    return 0


def with_secret(config: Config) -> Config:
    """The configuration with a secret of its own where the embedded server is used and none is set."""
    auth = config.auth
    if auth.family != "HMAC" or auth.secret is not None or not config.mongodb.is_embedded:
        return config
    return replace(config, auth=replace(auth, secret=development_secret(config.mongodb.folder)))


def _claim(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise StartupFailure(f"--claim takes NAME=VALUE; not '{text}'")
    return name, value


def split(text: str) -> list[str]:
    """What stands between the commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _declared(config: Config, text: str) -> tuple[str, ...]:
    """Namespaces by name. StartupFailure for one that there is not."""
    names, known = split(text), (DEFAULT_NAMESPACE, *config.namespaces)
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise StartupFailure(f"unknown namespace '{', '.join(unknown)}'; known: {', '.join(known)}")
    return tuple(names)


def lifetime(text: str, option: str = "--expires") -> timedelta:
    seconds = read_duration(text)
    if seconds is None:
        raise StartupFailure(f"{option} takes a time such as 15m, 12h or 30d; not '{text}'")
    return timedelta(seconds=seconds)


# -- API keys


def add_keys(commands: Commands) -> None:
    keys = commands.add_parser("keys", help="make, list and revoke API keys")
    actions = keys.add_subparsers(title="actions", required=True)
    create = actions.add_parser("create", help="make a key; it is printed once")
    create.add_argument("--sub", required=True, help="who: user.id in rules")
    create.add_argument("--roles", required=True, help="comma-separated")
    create.add_argument("--tenant", help="required unless every role of the key is cross-tenant")
    create.add_argument("--namespaces", help="comma-separated; without it the default one")
    create.add_argument("--expires", metavar="TIME", help="such as 90d; without it the key does not expire")
    create.set_defaults(run=_keys_create)
    listing = actions.add_parser("list", help="the keys, without their secrets")
    listing.set_defaults(run=_keys_list)
    revoke = actions.add_parser("revoke", help="end a key; gateways refuse it within two seconds")
    revoke.add_argument("prefix", help="the part between the first and the second underscore")
    revoke.set_defaults(run=_keys_revoke)
    for action in (create, listing, revoke):
        add_config(action)


def _with_keys(options: argparse.Namespace, use: Callable[[Config, MongoKeyStore], Awaitable[int]]) -> int:
    config = load_config(options.config)

    async def connected(uri: str) -> int:
        async with new_client(uri, config.mongodb) as client:
            await require_server(client)
            return await use(config, MongoKeyStore(client[config.mongodb.database]))

    with address_of_mongodb(config) as uri:
        return asyncio.run(connected(uri))


@contextmanager
def address_of_mongodb(config: Config) -> Iterator[str]:
    """The configured MongoDB; of the embedded one, the server that a gateway runs, else one for this command alone."""
    folder = config.mongodb.folder
    running = running_uri(folder) if config.mongodb.is_embedded else config.mongodb.uri
    if running is not None:
        yield running
        return
    server = start_embedded(folder, find_mongod(None))
    try:
        yield server.uri
    finally:
        server.stop()


def _keys_create(options: argparse.Namespace) -> int:
    async def create(config: Config, store: MongoKeyStore) -> int:
        roles = tuple(split(options.roles))
        unknown = [role for role in roles if role not in config.policy.roles]
        if unknown or not roles:
            raise StartupFailure(f"unknown role '{', '.join(unknown)}'; known: {', '.join(config.policy.roles)}")
        if options.tenant is None and not all(config.policy.roles[role].cross_tenant for role in roles):
            raise StartupFailure("a key without --tenant is for cross-tenant roles only")
        within = None if options.expires is None else lifetime(options.expires)
        namespaces = () if options.namespaces is None else _declared(config, options.namespaces)
        key = new_key(options.sub, options.tenant, roles, utc_now(), within, namespaces)
        await store.add(key.record)
        print(key.text)
        return 0

    return _with_keys(options, create)


def _keys_list(options: argparse.Namespace) -> int:
    async def listing(_: Config, store: MongoKeyStore) -> int:
        for key in await store.all():
            state = "revoked" if key.revoked_at else "expires" if key.expires_at else "in force"
            until = f" {key.expires_at:%Y-%m-%d}" if state == "expires" else ""
            print(f"{key.prefix}  {key.subject}  {key.tenant or '-'}  {','.join(key.roles)}  {state}{until}")
        return 0

    return _with_keys(options, listing)


def _keys_revoke(options: argparse.Namespace) -> int:
    async def revoke(_: Config, store: MongoKeyStore) -> int:
        if not await store.revoke(options.prefix, utc_now()):
            raise StartupFailure(f"there is no key with the prefix '{options.prefix}'")
        print(f"revoked {options.prefix}")
        return 0

    return _with_keys(options, revoke)
