"""`permission-mongo blobs sweep`: bytes that no document and no version names, removed now."""

from __future__ import annotations

import argparse
import asyncio

from permission_mongo.assembly import open_gateway
from permission_mongo.cli.credentials import address_of_mongodb, with_secret
from permission_mongo.cli.options import Commands, add_namespace, config_in
from permission_mongo.config.model import Config
from permission_mongo.errors import StartupFailure


def add_blobs(commands: Commands) -> None:
    blobs = commands.add_parser("blobs", help="the bytes of fields of type blob")
    actions = blobs.add_subparsers(title="actions", required=True)
    sweep = actions.add_parser("sweep", help="remove those that no document and no version names")
    add_namespace(sweep)
    sweep.set_defaults(run=_sweep)


def _sweep(options: argparse.Namespace) -> int:
    config = with_secret(config_in(options))
    if not any(one.blobs for one in config.collections.values()):
        raise StartupFailure("no collection of schema.yml has a field of type blob")
    with address_of_mongodb(config) as uri:
        swept = asyncio.run(_swept(config, uri))
    print(f"{swept} blob{'' if swept == 1 else 's'} removed")
    return 0


async def _swept(config: Config, uri: str) -> int:
    async with open_gateway(config, uri, carriers=0) as gateway:
        return await gateway.store.sweep_blobs(gateway.clock())
