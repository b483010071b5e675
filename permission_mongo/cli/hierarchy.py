"""Who is above whom, found anew from the documents of people, or compared with them."""

from __future__ import annotations

import argparse
import asyncio

from permission_mongo.cli.credentials import address_of_mongodb
from permission_mongo.cli.options import Commands, add_namespace, config_in
from permission_mongo.errors import StartupFailure
from permission_mongo.hierarchy import Staff
from permission_mongo.outcomes import Synced
from permission_mongo.planning.targets import staff_of
from permission_mongo.storage.connection import new_client, require_server
from permission_mongo.storage.faults import refusing
from permission_mongo.storage.layout import prepare
from permission_mongo.storage.rebuilding import sync_all
from permission_mongo.storage.rooms import Rooms


def add_hierarchy(commands: Commands) -> None:
    hierarchy = commands.add_parser("hierarchy", help="who is above whom, by the documents of people")
    actions = hierarchy.add_subparsers(title="actions", required=True)
    sync = actions.add_parser("sync", help="find it anew: for documents written beside the gateway")
    check = actions.add_parser("check", help="compare it with the documents; 1 if it differs, or has loops")
    for action, commits in ((sync, True), (check, False)):
        action.add_argument("--tenant", help="of this tenant alone")
        add_namespace(action)
        action.set_defaults(run=_run, commits=commits)


def _run(options: argparse.Namespace) -> int:
    config = config_in(options)
    staff = next(filter(None, map(staff_of, config.collections.values())), None)
    if staff is None:
        raise StartupFailure("no collection of schema.yml has a 'hierarchy'")

    async def connected(uri: str, people: Staff) -> Synced:
        async with new_client(uri, config.mongodb) as client:
            await require_server(client)
            await prepare(client[config.mongodb.database], config)
            rooms = Rooms(client, config.mongodb.database, config.limits.query_timeout, 1, config.audit.receiver)
            with refusing():
                return await sync_all(people, rooms, options.tenant, commit=options.commits)

    with address_of_mongodb(config) as uri:
        found = asyncio.run(connected(uri, staff))
    verb = "rows put right" if options.commits else "rows wrong"
    print(f"{found.people} people, {found.changed} {verb}, {found.in_loops} in loops, {found.too_deep} too deep")
    return int(not options.commits and bool(found.changed or found.in_loops or found.too_deep))
