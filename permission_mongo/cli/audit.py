"""`permission-mongo audit`: entries shown, and held against their seals. It needs the database, and no gateway."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from permission_mongo.cli.credentials import address_of_mongodb
from permission_mongo.cli.options import Commands, add_namespace, config_in
from permission_mongo.config.model import Config
from permission_mongo.errors import StartupFailure
from permission_mongo.storage.audit_log import raw_entries
from permission_mongo.storage.connection import Database, new_client, require_server
from permission_mongo.storage.faults import refusing
from permission_mongo.storage.sealing import latest_of
from permission_mongo.storage.verifying import Chain, Pin, heads, verify
from permission_mongo.values import read_date, read_json, write_json

_NO_TENANT: Final = "(none)"


def add_audit(commands: Commands) -> None:
    audit = commands.add_parser("audit", help="show and verify the audit")
    actions = audit.add_subparsers(title="actions", required=True)
    verifying = actions.add_parser("verify", help="find entries that were changed, removed or put in")
    verifying.add_argument("--head", type=Path, metavar="FILE", help="what 'audit head --json' told earlier")
    verifying.set_defaults(run=_verify)
    heading = actions.add_parser("head", help="the last seal of each tenant, to be kept elsewhere")
    heading.set_defaults(run=_head)
    listing = actions.add_parser("list", help="entries, newest first, all that is kept of them")
    exporting = actions.add_parser("export", help="entries as JSON lines, oldest first")
    listing.add_argument("--limit", type=int, default=50, help="default: 50")
    for action in (listing, exporting):
        action.add_argument("--from", dest="since", metavar="TIME", help="such as 2026-01-31T12:00:00Z")
        action.add_argument("--to", dest="until", metavar="TIME")
    listing.set_defaults(run=_list)
    exporting.set_defaults(run=_export)
    for action in (verifying, heading, listing, exporting):
        add_namespace(action)
        action.add_argument("--uri", help="another MongoDB than that of the configuration")
        action.add_argument("--tenant", help=f"one tenant alone; '{_NO_TENANT}': of callers without one")
        if action is not exporting:
            action.add_argument("--json", action="store_true", help="for tools")


def _with_database(options: argparse.Namespace, use: Callable[[Config, Database], Awaitable[int]]) -> int:
    config = config_in(options)
    if options.uri is not None:
        config = replace(config, mongodb=replace(config.mongodb, uri=options.uri))

    async def connected(uri: str) -> int:
        async with new_client(uri, config.mongodb) as client:
            await require_server(client)
            with refusing():
                return await use(config, client[config.mongodb.database])

    with address_of_mongodb(config) as uri:
        return asyncio.run(connected(uri))


def _tenant(options: argparse.Namespace) -> str | None:
    return None if options.tenant == _NO_TENANT else options.tenant


def _print_json(told: Any) -> None:
    sys.stdout.write(write_json(told).decode() + "\n")


# -- verify


def _verify(options: argparse.Namespace) -> int:
    """1 where something does not fit."""
    pins = {} if options.head is None else _pins(options.head)

    async def use(config: Config, database: Database) -> int:
        ages = (config.audit.ttl, latest_of(config.limits.query_timeout))
        every = options.tenant is None
        chains = await verify(database, ages, pins, _tenant(options), every=every)
        _print_json({"chains": [asdict(one) for one in chains]}) if options.json else _print_chains(chains)
        return 1 if any(one.faults for one in chains) else 0

    return _with_database(options, use)


def _pins(path: Path) -> Mapping[str | None, Pin]:
    """The output of `audit head --json`."""
    try:
        found = read_json(path.read_bytes())
        pins = [Pin(one["tenant"], int(one["number"]), str(one["hash"])) for one in found["heads"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StartupFailure(f"{path} is not what 'audit head --json' prints") from error
    return {one.tenant: one for one in pins}


def _print_chains(chains: list[Chain]) -> None:
    for chain in chains:
        for fault in chain.faults:
            print(f"{_named(chain.tenant)}: {fault.what}: {fault.told}")
        if chain.untold:
            print(f"{_named(chain.tenant)}: and {chain.untold} more")
    for chain in chains:
        print(f"{_named(chain.tenant)}: {'; '.join(_summary(chain))}")


def _summary(chain: Chain) -> list[str]:
    told = [f"{chain.entries} entries in {chain.seals} seals"]
    if chain.expired:
        told.append(f"{chain.expired} gone by their age")
    if chain.earlier:
        told.append(f"{chain.earlier} from before sealing began")
    if chain.waiting:
        told.append(f"{chain.waiting} not sealed yet, the oldest of {chain.waiting_since}")
    faults = len(chain.faults) + chain.untold
    return [*told, f"{faults} faults" if faults else "fine"]


def _named(tenant: str | None) -> str:
    return _NO_TENANT if tenant is None else tenant


# -- head


def _head(options: argparse.Namespace) -> int:
    async def use(config: Config, database: Database) -> int:
        found = await heads(database, _tenant(options), every=options.tenant is None)
        if options.json:
            _print_json({"heads": [asdict(one) for one in found]})
        else:
            for one in found:
                print(f"{_named(one.tenant)}: seal {one.number} of {one.at}, {one.hash}")
        return 0

    return _with_database(options, use)


# -- entries


def _list(options: argparse.Namespace) -> int:
    async def use(config: Config, database: Database) -> int:
        match = _match(options)
        async for one in raw_entries(database, match, newest=True, limit=max(options.limit, 1)):
            _print_json(one) if options.json else print(_line(one))
        return 0

    return _with_database(options, use)


def _export(options: argparse.Namespace) -> int:
    async def use(config: Config, database: Database) -> int:
        async for one in raw_entries(database, _match(options), newest=False, limit=0):
            _print_json(one)
        return 0

    return _with_database(options, use)


def _match(options: argparse.Namespace) -> dict[str, Any]:
    match: dict[str, Any] = {} if options.tenant is None else {"tenant_id": {"$eq": _tenant(options)}}
    for name, operator, text in (("--from", "$gte", options.since), ("--to", "$lt", options.until)):
        if text is not None:
            try:
                match.setdefault("at", {})[operator] = read_date(text)
            except ValueError as error:
                raise StartupFailure(f"{name} takes {error}") from error
    return match


def _line(one: Mapping[str, Any]) -> str:
    ids = [str(each) for each in one.get("ids", [])]
    shown = ",".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
    code = f" refused: {one['code']}" if "code" in one else ""
    words = (one.get("at"), _named(one.get("tenant_id")), one.get("user_id"), one.get("action"), one.get("collection"))
    return f"{' '.join(map(str, words))} {shown}{code}".rstrip()
