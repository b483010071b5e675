"""A difference for people and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from permission_mongo.impact.count import Tally
from permission_mongo.impact.kinds import Change, Kind, widening
from permission_mongo.impact.phrases import ANYTHING, DOES
from permission_mongo.impact.sides import at_most
from permission_mongo.policy.rules import ACTIONS, Place
from permission_mongo.values import write_json

_MARKS: Final[Mapping[Kind, str]] = {"gained": "+", "lost": "-", "unsure": "?"}
_HEADS: Final[Mapping[Kind, str]] = {
    "gained": "gained:",
    "unsure": "changed, and it can't be told whether anything is gained (counts as gained):",
    "lost": "lost:",
}
_SURE: Final = 1.96  # standard deviations around 95 % of what chance may do


@dataclass(frozen=True, slots=True)
class Read:
    """How many documents of a collection were read, of about how many."""

    collection: str
    documents: int
    size: int
    sampled: bool

    @property
    def share(self) -> float:
        return min(1.0, self.documents / self.size) if self.sampled and self.size else 1.0

    def estimate(self, counted: int) -> tuple[int, int]:
        """How many there are in all, and within what (95 %); of none counted, how many there may be unseen."""
        if self.share == 1.0:
            return counted, 0
        spread = _SURE * math.sqrt(counted * (1 - self.share)) if counted else 3.0
        return round(counted / self.share), math.ceil(spread / self.share)


@dataclass(frozen=True, slots=True)
class Live:
    tallies: tuple[Tally, ...]
    reads: tuple[Read, ...]
    viewers: tuple[str, ...]

    @property
    def widens(self) -> bool:
        return any(tally.widens for tally in self.tallies)


def in_words(changes: Iterable[Change], live: Live | None) -> str:
    found = tuple(changes)
    lines: list[str] = [] if found else ["the rules give what they gave"]
    for kind in _HEADS:
        of_kind = list(_grouped(change for change in found if change.kind == kind))
        if of_kind:
            lines += [_HEADS[kind], *(f"  {_MARKS[kind]} {line}" for line in of_kind)]
    if live is not None:
        lines += _live(live)
    return "\n".join(lines)


def _grouped(changes: Iterable[Change]) -> Iterator[str]:
    """Roles and actions of which the same is told share a line."""
    actions: dict[tuple[object, ...], list[Change]] = {}
    for change in changes:
        where = (change.roles, change.collection, change.text, change.before, change.after)
        actions.setdefault(where, []).append(change)
    roles: dict[tuple[object, ...], list[Change]] = {}
    for ones in actions.values():
        one = ones[0]
        # A sentence that names no action is the same for all of them.
        told = one.text.replace("{does}", _joined(ones)) if "{does}" in one.text else one.text
        roles.setdefault((one.collection, told, one.before, one.after), []).append(one)
    for (_, text, _, _), ones in roles.items():
        who = ", ".join("+".join(one.roles) for one in ones if one.roles) or f"everybody in {ones[0].collection}"
        yield f"{who}: {text}{_places(ones[0].before, ones[0].after)}"


def _joined(changes: Iterable[Change]) -> str:
    held = {change.action for change in changes}
    words = [DOES[action] for action in ACTIONS if action in held]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _places(before: Place | None, after: Place | None) -> str:
    if before is None and after is None:
        return ""
    told = [f"was {before}" if before else "", f"now {after}" if after else ""]
    return f"  [{', '.join(one for one in told if one)}]"


def _live(live: Live) -> Iterator[str]:
    sizes = {read.collection: read for read in live.reads}
    yield f"on live data, for {', '.join(live.viewers) or 'nobody'}:"
    for read in live.reads:
        told = f"by chance {read.documents:,} of about {read.size:,}" if read.sampled else f"{read.documents:,}"
        yield f"  read {told} documents of {read.collection}"
    spoken = [tally for tally in live.tallies if not tally.is_silent]
    for tally in spoken:
        yield from _of_tally(tally, sizes[tally.collection])
    if not spoken:
        yield "  nothing gained and nothing lost on these documents for these principals"


def _of_tally(tally: Tally, read: Read) -> Iterator[str]:
    who = f"{_who(tally)}: {tally.action} {tally.collection}"
    for mark, counted, ids in (("+", tally.gained, tally.gained_ids), ("-", tally.lost, tally.lost_ids)):
        if counted:
            examples = ", ".join(_id(one) for one in ids)
            yield f"  {mark} {who}: {_number(read, counted)} documents, such as {examples}"
    for (path, before, after), counted in tally.fields.items():
        mark = "-" if at_most(after, before) else "+"
        named = ".".join(path) if path[-1] != ANYTHING else ".".join((*path[:-1], "(not named)"))
        yield f"  {mark} {who}: {named} {_level(after)} (was {_level(before)}) in {_number(read, counted)} documents"


def _who(tally: Tally) -> str:
    viewer = tally.viewer
    who = viewer.principal
    roles = "+".join(viewer.roles)
    return f"{roles} as {who.subject}{f' of {who.tenant}' if who.tenant else ''}"


def _number(read: Read, counted: int) -> str:
    about, within = read.estimate(counted)
    return f"{about:,}" if not within else f"about {about:,} (within {within:,})"


def _level(level: str) -> str:
    return {"raw": "readable", "hidden": "hidden"}.get(level, f"masked by {level}")


def _id(value: Any) -> str:
    return value if isinstance(value, str) else write_json(value).decode().strip('"')


def as_json(changes: Iterable[Change], live: Live | None) -> str:
    return write_json(told(changes, live)).decode()


def told(changes: Iterable[Change], live: Live | None) -> dict[str, Any]:
    """`{"widens", "changes": [...], "live"?}`, as JSON has it."""
    found = tuple(changes)
    all_told: dict[str, Any] = {
        "widens": widening(found) or (live is not None and live.widens),
        "changes": [_entry(change) for change in found],
    }
    if live is not None:
        all_told["live"] = live_told(live)
    return all_told


def live_told(live: Live) -> dict[str, Any]:
    """`{"read", "principals", "counts"}`."""
    sizes = {read.collection: read for read in live.reads}
    return {
        "read": [
            {"collection": one.collection, "documents": one.documents, "of": one.size, "sampled": one.sampled}
            for one in live.reads
        ],
        "principals": list(live.viewers),
        "counts": [_counted(one, sizes[one.collection]) for one in live.tallies if not one.is_silent],
    }


def _entry(change: Change) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "roles": list(change.roles),
        "collection": change.collection,
        "action": change.action,
        "text": change.text.replace("{does}", change.action),
        "before": str(change.before) if change.before else None,
        "after": str(change.after) if change.after else None,
    }


def _counted(tally: Tally, read: Read) -> dict[str, Any]:
    who = tally.viewer.principal
    rows = {}
    for name, counted, ids in (("gained", tally.gained, tally.gained_ids), ("lost", tally.lost, tally.lost_ids)):
        about, within = read.estimate(counted)
        rows[name] = {"documents": about, "within": within, "such_as": ids}
    return {
        "roles": list(tally.viewer.roles),
        "principal": {"sub": who.subject, "tenant": who.tenant, "from": tally.viewer.origin},
        "collection": tally.collection,
        "action": tally.action,
        **rows,
        "fields": [
            {"path": ".".join(path), "before": before, "after": after, "documents": read.estimate(counted)[0]}
            for (path, before, after), counted in tally.fields.items()
        ],
    }
