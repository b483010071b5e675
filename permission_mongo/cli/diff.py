"""`permission-mongo policy diff`: what each role gains and loses by a change, by the rules and on live data.

0 told; 1 something is gained and --no-widening is set; 2 a configuration is broken, or the command is.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from permission_mongo.cli.options import Commands, loaded
from permission_mongo.config.model import Config
from permission_mongo.impact.compare import compare
from permission_mongo.impact.count import Tally, by_collection, projection, tallies
from permission_mongo.impact.kinds import widening
from permission_mongo.impact.reports import Live, Read, as_json, in_words
from permission_mongo.impact.viewers import Viewer, drawn_viewers, named_viewers, viewer_of
from permission_mongo.storage.census import Census, open_census
from permission_mongo.values import read_date, utc_now

_SAMPLE: Final = 200_000
_DRAWN_FROM: Final = 20  # documents at either end of a collection
_STEP: Final = 10_000  # documents between two words about how far it is


class _Misused(Exception):
    """An option that makes no sense."""


def add_diff(commands: Commands) -> None:
    diff = commands.add_parser("diff", help="what each role gains and loses between two configurations")
    diff.add_argument("old", type=Path, metavar="OLD", help="the folder as it is")
    diff.add_argument("new", type=Path, metavar="NEW", help="the folder as it would be")
    diff.add_argument("--roles", action="append", default=[], metavar="A,B", help="roles held together; repeatable")
    diff.add_argument("--no-widening", action="store_true", help="exit 1 when anything is gained")
    diff.add_argument("--json", action="store_true", help="for tools")
    diff.add_argument("--uri", help="count it on the documents of this MongoDB, which are only read")
    diff.add_argument("--as", dest="claims", action="append", default=[], type=Path, metavar="FILE", help=_AS)
    diff.add_argument("--sample", type=int, default=_SAMPLE, metavar="N", help="documents of a collection, at most")
    diff.add_argument("--as-of", metavar="TIME", help="what rules read as `now`; default: now")
    diff.add_argument("--secondary", action="store_true", help="prefer to read from a secondary")
    diff.set_defaults(run=_diff)


_AS: Final = "claims of a token as JSON, or a list of such: for whom to count; repeatable"


def _diff(options: argparse.Namespace) -> int:
    old, new = loaded(options.old), loaded(options.new)
    if old is None or new is None:
        return 2
    try:
        beside = [_together(text, (old, new)) for text in options.roles]
        changes = compare(old, new, beside)
        live = None if options.uri is None else asyncio.run(_counted(options, old, new, beside))
    except _Misused as error:
        print(f"permission-mongo: {error}", file=sys.stderr)
        return 2
    print(as_json(changes, live) if options.json else in_words(changes, live))
    widens = widening(changes) or (live is not None and live.widens)
    return int(options.no_widening and widens)


def _together(text: str, configs: tuple[Config, ...]) -> tuple[str, ...]:
    roles = tuple(role.strip() for role in text.split(","))
    unknown = [role for role in roles if not any(role in config.policy.roles for config in configs)]
    if unknown:
        raise _Misused(f"--roles: no policy has a role '{unknown[0]}'")
    return roles


# -- on live data


async def _counted(options: argparse.Namespace, old: Config, new: Config, beside: list[tuple[str, ...]]) -> Live:
    if options.sample < 1:
        raise _Misused("--sample is a number of documents, at least 1")
    now = _moment(options.as_of)
    named = [*named_viewers(old, new).values(), *(one for file in options.claims for one in _claims(file, new))]
    async with open_census(options.uri, new.mongodb, secondary=options.secondary) as census:
        viewers = [*named, *await _drawn(census, old, new, _unnamed(named, old, new, beside))]
        found = tallies(old, new, viewers, now)
        reads = [await _read(census, name, ones, options.sample) for name, ones in by_collection(found).items()]
    return Live(found, tuple(reads), tuple(f"{one.name} ({one.origin})" for one in viewers))


def _moment(text: str | None) -> datetime:
    if text is None or text == "now":
        return utc_now()
    try:
        return read_date(text)
    except ValueError as error:
        raise _Misused(f"--as-of expects {error}") from error


def _claims(file: Path, config: Config) -> Iterator[Viewer]:
    try:
        found = json.loads(file.read_bytes())
        for one in found if isinstance(found, list) else [found]:
            if not isinstance(one, dict):
                raise ValueError("expected an object, or a list of objects")
            yield viewer_of(one, config)
    except (OSError, ValueError) as error:
        raise _Misused(f"--as {file}: {error}") from error


def _unnamed(named: list[Viewer], old: Config, new: Config, beside: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The role sets that no named principal has for its own."""
    held = {frozenset(viewer.principal.roles) for viewer in named}
    single = [(name,) for name in dict.fromkeys((*new.policy.roles, *old.policy.roles))]
    return [roles for roles in [*single, *beside] if frozenset(roles) not in held]


async def _drawn(census: Census, old: Config, new: Config, roles: list[tuple[str, ...]]) -> list[Viewer]:
    if not roles:
        return []
    names = dict.fromkeys((*new.collections, *old.collections))
    documents = {name: await census.edges(name, _DRAWN_FROM) for name in names}
    return list(drawn_viewers(old, new, roles, documents))


async def _read(census: Census, name: str, tallied: tuple[Tally, ...], most: int) -> Read:
    size = await census.size(name)
    fields = projection(tallied)
    count = 0
    with _Progress(name, min(size, most)) as progress:
        async for document in census.documents(name, size, most, fields):
            for tally in tallied:
                tally.note(document)
            count += 1
            progress.tell(count)
    return Read(name, count, size if size > most else count, size > most)


@dataclass(slots=True)
class _Progress:
    """One line on stderr, where that is a terminal; gone at the end."""

    name: str
    of: int
    shown: bool = False

    def __enter__(self) -> _Progress:
        self.shown = sys.stderr.isatty()
        return self

    def tell(self, count: int) -> None:
        if self.shown and count % _STEP == 0:
            share = min(1.0, count / self.of) if self.of else 1.0
            bar = "#" * int(30 * share)
            print(f"\r{self.name} [{bar:<30}] {count:,} of {self.of:,}", end="", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        if self.shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
