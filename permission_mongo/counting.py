"""What a change of the policy means on the documents that are there: counted for who may ask about each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from permission_mongo.apart import changes_apart
from permission_mongo.config.model import Config
from permission_mongo.errors import DeadlineExceeded
from permission_mongo.explanations import SurveyPlan
from permission_mongo.impact.count import Tally, by_collection, projection, tallies
from permission_mongo.impact.reports import Live, Read, live_told
from permission_mongo.impact.viewers import Viewer, drawn_viewers, named_viewers
from permission_mongo.plans import Actor
from permission_mongo.policy_files import in_turn, sound
from permission_mongo.service import DiffPlan
from permission_mongo.storage.store import Store
from permission_mongo.storage.surveys import Survey

MOST: Final = 20_000  # documents of a collection that are looked at
_DRAWN_FROM: Final = 20  # documents at either end of a collection
JUDGEMENTS: Final = 1_000_000  # of a collection: where many principals are counted for, fewer documents are looked at
LONGEST: Final = 8.0  # seconds that another process may have taken for the same texts: here they keep others waiting
_AT_ONCE: Final = 500  # judgements, before others have their turn


@dataclass(frozen=True, slots=True)
class Change:
    """From one policy to another, of one schema; `beside` are roles that are held together."""

    old: Config
    new: Config
    beside: tuple[tuple[str, ...], ...]


async def changes_counted(
    asked: DiffPlan, plan: SurveyPlan, loaded: Config, actor: Actor, store: Store
) -> dict[str, Any]:
    """By the rules and on documents, both without the environment. The schema is `loaded`'s own, and so are the
    principals of its policy tests. InvalidRequest for mistakes.
    """
    started = monotonic()
    told = await changes_apart(asked.loaded, asked.texts, asked.beside)
    if monotonic() - started > LONGEST:
        raise DeadlineExceeded("the files take long to compare; count by `permission-mongo policy diff --uri`")
    # What was found to be sound there is read here, where the documents are.
    old, new = await in_turn(lambda: sound(asked.loaded)), await in_turn(lambda: sound(asked.texts))
    return {**told, "live": await _live(Change(old, new, asked.beside), plan, loaded, actor, store)}


async def _live(change: Change, plan: SurveyPlan, loaded: Config, actor: Actor, store: Store) -> dict[str, Any]:
    async with store.survey(plan, actor) as survey:
        viewers = await _viewers(survey, loaded, change)
        found = await in_turn(lambda: _tallied(survey, change, viewers, actor))
        reads = [await _read(survey, name, ones) for name, ones in by_collection(found).items()]
    return live_told(Live(found, tuple(reads), tuple(f"{one.name} ({one.origin})" for one in viewers)))


async def _viewers(survey: Survey, loaded: Config, change: Change) -> list[Viewer]:
    """The principals of the policy tests; and for the roles that none of them has alone some made from documents."""
    named = list(named_viewers(loaded, change.new).values())
    held = {frozenset(viewer.principal.roles) for viewer in named}
    single = ((name,) for name in dict.fromkeys((*change.new.policy.roles, *change.old.policy.roles)))
    wanted = [roles for roles in (*single, *change.beside) if frozenset(roles) not in held]
    if not wanted:
        return named
    documents = {name: await survey.edges(name, _DRAWN_FROM) for name in survey.plan.rows}
    return [*named, *drawn_viewers(change.old, change.new, wanted, documents)]


def _tallied(survey: Survey, change: Change, viewers: Iterable[Viewer], actor: Actor) -> tuple[Tally, ...]:
    found = tallies(change.old, change.new, viewers, actor.now)
    return tuple(one for one in found if one.collection in survey.plan.rows)


async def _read(survey: Survey, name: str, tallied: tuple[Tally, ...]) -> Read:
    most = max(1, min(MOST, JUDGEMENTS // len(tallied)))
    size, count, pause = await survey.size(name), 0, max(1, _AT_ONCE // len(tallied))
    async for document in survey.documents(name, size, most, projection(tallied)):
        for tally in tallied:
            tally.note(document)
        count += 1
        if count % pause == 0:
            await asyncio.sleep(0)
    return Read(name, count, size if size > most else count, size > most)
