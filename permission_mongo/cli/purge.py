"""`permission-mongo purge`: one document and all that is kept of it, erased by who runs the gateway."""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import replace
from getpass import getuser
from typing import Final

from permission_mongo.assembly import open_gateway
from permission_mongo.cli.credentials import address_of_mongodb, with_secret
from permission_mongo.cli.options import Commands, add_namespace, config_in
from permission_mongo.config.model import Config
from permission_mongo.errors import StartupFailure
from permission_mongo.operations import PurgeOne
from permission_mongo.outcomes import Purged
from permission_mongo.parsing.fields import reason_of
from permission_mongo.parsing.ids import read_id
from permission_mongo.planning.callers import Asking
from permission_mongo.policy.operator import ROLE, purging
from permission_mongo.principal import Principal
from permission_mongo.schema.model import Collection

_MOST: Final = 256


def add_purge(commands: Commands) -> None:
    purge = commands.add_parser("purge", help="erase a document with its versions, whatever the policy says")
    purge.add_argument("collection", metavar="COLLECTION")
    purge.add_argument("id", metavar="ID")
    purge.add_argument("--reason", required=True, help="it is all that will be left, in the audit")
    purge.add_argument("--tenant", help="whose document it is; required where the collection belongs to tenants")
    purge.add_argument("--by", help="who does it, for the audit (default: this machine's user)")
    add_namespace(purge)
    purge.set_defaults(run=_purge)


def _purge(options: argparse.Namespace) -> int:
    config = with_secret(config_in(options))
    collection = config.collections.get(options.collection)
    if collection is None:
        raise StartupFailure(f"no such collection; there are {', '.join(config.collections)}")
    operation, who = _operation(options, collection), _operator(options, collection)
    with address_of_mongodb(config) as uri:
        purged = asyncio.run(_purged(config, uri, operation, who))
    print(f"purged {options.id} and {purged.versions} version{'' if purged.versions == 1 else 's'}")
    return 0


def _operation(options: argparse.Namespace, collection: Collection) -> PurgeOne:
    reason = reason_of(options.reason, "--reason")
    if reason is None:
        raise StartupFailure("--reason: a purge needs one; it is all that will be left")
    return PurgeOne(collection, read_id(options.id, collection, "ID"), reason)


def _operator(options: argparse.Namespace, collection: Collection) -> Principal:
    if (options.tenant is None) != (collection.tenant_field is None):
        needs = "needs --tenant" if options.tenant is None else "takes no --tenant: it belongs to no tenants"
        raise StartupFailure(f"{collection.name} {needs}")
    name = getuser() if options.by is None else options.by
    if not 0 < len(name) <= _MOST or not name.isprintable():
        raise StartupFailure(f"--by takes 1 to {_MOST} printable characters")
    return Principal(f"operator:{name}", options.tenant, frozenset({ROLE}), {}, "key", credential="command line")


async def _purged(config: Config, uri: str, operation: PurgeOne, who: Principal) -> Purged:
    """Through the pipeline of every caller, with a policy that holds this one right."""
    own = replace(config, policy=purging(operation.collection.name))
    async with open_gateway(own, uri, carriers=0) as gateway:
        asking = Asking(who, gateway.clock(), {}, f"purge-{gateway.fresh.batch_id()}")
        purged = await gateway.answer(operation, asking)
    assert isinstance(purged, Purged)  # noqa: S101  (a PurgeOne leads to nothing else)
    return purged
