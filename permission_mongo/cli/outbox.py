"""`permission-mongo outbox`: what receivers are still to be told, and what was given up."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable

from bson.errors import InvalidId
from bson.objectid import ObjectId

from permission_mongo.cli.credentials import address_of_mongodb
from permission_mongo.cli.options import Commands, add_namespace, config_in
from permission_mongo.errors import StartupFailure
from permission_mongo.storage.connection import new_client, require_server
from permission_mongo.storage.outbox import Outbox
from permission_mongo.values import Document, date_text

_MOST_LISTED = 1000


def add_outbox(commands: Commands) -> None:
    outbox = commands.add_parser("outbox", help="what hooks are still to tell, and what was given up")
    actions = outbox.add_subparsers(title="actions", required=True)
    listing = actions.add_parser("list", help="the entries, the oldest first; 1 if there are dead ones")
    listing.add_argument("--limit", type=int, default=100, help="default 100")
    listing.set_defaults(run=_list)
    show = actions.add_parser("show", help="one entry with its body")
    show.add_argument("id")
    show.set_defaults(run=_show)
    retry = actions.add_parser("retry", help="try entries again at once, with all their attempts before them")
    drop = actions.add_parser("drop", help="take entries away; their receivers are never told")
    for action, run in ((retry, _retry), (drop, _drop)):
        action.add_argument("id", nargs="*")
        action.set_defaults(run=run)
    for action in (listing, retry, drop):
        action.add_argument("--dead", action="store_true", help="only what was given up")
        action.add_argument("--hook", help="only of the hook of this name")
    for action in (listing, show, retry, drop):
        add_namespace(action)


def _with_outbox(options: argparse.Namespace, use: Callable[[Outbox], Awaitable[int]]) -> int:
    config = config_in(options)

    async def connected(uri: str) -> int:
        async with new_client(uri, config.mongodb) as client:
            await require_server(client)
            return await use(Outbox(client[config.mongodb.database], config.limits.query_timeout))

    with address_of_mongodb(config) as uri:
        return asyncio.run(connected(uri))


def _list(options: argparse.Namespace) -> int:
    async def listing(outbox: Outbox) -> int:
        limit = min(max(options.limit, 1), _MOST_LISTED)
        for one in await outbox.recent(dead=options.dead, hook=options.hook, limit=limit):
            print(_line(one))
        stands = await outbox.stands()
        print(f"{stands.pending} pending, {stands.dead} dead")
        return 1 if stands.dead else 0

    return _with_outbox(options, listing)


def _line(one: Document) -> str:
    about = f"{one['collection'] or '-'}/{one['document'] if one['document'] is not None else '-'}"
    state = f"{one['state']} after {one['attempts']}" if one["attempts"] else one["state"]
    why = f"  {one['error']}" if one["error"] else ""
    return f"{one['_id']}  {date_text(one['at'])}  {one['hook']}  {one['kind']}  {about}  {state}{why}"


def _show(options: argparse.Namespace) -> int:
    [wanted] = _ids([options.id])

    async def show(outbox: Outbox) -> int:
        one = await outbox.find(wanted)
        if one is None:
            raise StartupFailure(f"there is no entry {wanted}")
        print(_line(one))
        print(json.dumps(json.loads(one["body"]), indent=2, ensure_ascii=False))
        return 0

    return _with_outbox(options, show)


def _retry(options: argparse.Namespace) -> int:
    return _done(options, "tried again", lambda outbox, ids: outbox.retry(ids, dead=options.dead, hook=options.hook))


def _drop(options: argparse.Namespace) -> int:
    return _done(options, "dropped", lambda outbox, ids: outbox.drop(ids, dead=options.dead, hook=options.hook))


def _done(options: argparse.Namespace, verb: str, use: Callable[[Outbox, list[ObjectId]], Awaitable[int]]) -> int:
    """By their ids, or all that the options choose; never all there are by a slip."""
    ids = _ids(options.id)
    if not (ids or options.dead or options.hook):
        raise StartupFailure("name entries by their ids, or say --dead or --hook")

    async def done(outbox: Outbox) -> int:
        count = await use(outbox, ids)
        print(f"{count} {verb}")
        return 0 if count or not ids else 1

    return _with_outbox(options, done)


def _ids(texts: list[str]) -> list[ObjectId]:
    try:
        return [ObjectId(text.removeprefix("msg_")) for text in texts]
    except InvalidId as error:
        raise StartupFailure("an entry's id has 24 hex digits") from error
