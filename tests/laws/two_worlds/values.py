"""What a curious caller puts into requests: fields, values aimed at hidden ones, ids of every kind, filters, bodies."""

import json
from dataclasses import dataclass, field
from random import Random

from bson.objectid import ObjectId

from tests.laws.two_worlds.contents import BATCHES, C_FOREIGN, C_MIXED, HIDDEN_IDS, MOVED_IDS, VISIBLE_IDS
from tests.laws.two_worlds.rules import ME, PLACES, WRITABLE

FIELDS = {
    "staff": sorted(PLACES["staff"])
    + [
        "_id",
        "_version",
        "tenant_id",
        "pay",
        "pay.month.x",
        "pay.bonus.x",
        "skills",
        "skills.0.name",
        "skills.0",
        "skills.score.x",
        "tags.0",
    ]
    + ["_made", "_made.by", "nothing", "dept.x", "name.0", "0.name"],
    "notes": sorted(PLACES["notes"]) + ["_id", "_version", "tenant_id", "nothing", "text.x", "secret.0", "_made"],
    "teams": sorted(PLACES["teams"]) + ["_id", "_version", "nothing", "budget.x", "name.x", "tenant_id"],
}
NUMBERS = (0, 1, 2, 3, 5, 7, 9, 100, 500, 900)
TEXTS = ("ann", "open", "ops", "lab", "hush", "loud", "x", "y", "z", "p", "q", "short", "6789", "spy", "sew", "red")
LIKELY = {
    "salary": NUMBERS, "pay.month": range(5), "pay.bonus": (0, 3), "level": range(10), "stars": range(5), "budget": range(9),
    "_version": (1, 2, 3), "locked": (True, False), "public": (True, False), "owner_id": (ME, "bob", "zoe", "eve"),
    "dept": ("open", "ops", "lab"), "name": ("ann", "ben", "cleo", "k", "l"), "ssn": ("123456789", "987654321", "short"),
    "note": ("hush", "loud"), "grade": "xyz", "skills.name": ("sew", "sing", "spy"), "skills.score": range(9),
    "tags": ("red", "blue"), "secret": "pq", "text": "xy", "lead": (ME, "bob"), "badge": ("b-s00", "b-s01", "h-a-s00", "h-b-s01"),
    "tenant_id": ("acme", "evil"), "at": ("2026-01-12", "2026-01-20T00:00:00Z"),
}  # fmt: skip
ODD = (None, True, "", "x", -1, 1.5, [], ["x"], {"$oid": "65f000000000000000000000"}, {"$date": "2026-01-31T00:00:00Z"})
MALFORMED = ("", "%00", "..", "batch", "65f0", "a b", "%2e%2e", "x" * 200, "$where", '{"$ne":1}')


@dataclass
class Known:
    """What the caller has learned so far. Cursors are pairs where chance makes them."""

    role: str
    cursors: list[tuple[str, tuple, object]] = field(default_factory=list)
    batches: list[str] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    made: dict[str, list[str]] = field(default_factory=lambda: {"staff": [], "notes": [], "teams": []})
    etags: list[str] = field(default_factory=list)
    names: int = 0

    def new_name(self) -> str:
        """An id or a unique value that nobody has used, nor any hidden document."""
        self.names += 1
        return f"n-{self.names}"


def collection(rnd: Random) -> str:
    return rnd.choice(("staff", "staff", "staff", "notes", "teams"))


def an_id(rnd: Random, known: Known, name: str) -> str:
    """Mostly one that exists: visible, made, hidden in one world or both; also absent and deleted ones."""
    kind = rnd.random()
    if kind < 0.55:
        return str(rnd.choice((*VISIBLE_IDS[name], *known.made[name][-4:])))
    if kind < 0.8:
        return str(rnd.choice(HIDDEN_IDS[name]))
    if kind < 0.9 and name == "staff":
        return rnd.choice(("d0", "d1", "d2", "d3", "d0-h1", "d2-h3", *MOVED_IDS))
    return str(ObjectId("6" * 24)) if name == "notes" else "absent"


def a_path_id(rnd: Random, known: Known, name: str) -> str:
    return rnd.choice(MALFORMED) if rnd.random() < 0.05 else an_id(rnd, known, name)


def some_ids(rnd: Random, known: Known, name: str, most: int = 6) -> list:
    ids: list = [an_id(rnd, known, name) for _ in range(rnd.randrange(1, most))]
    return [*ids, rnd.choice((5, None, {"$ne": 1}, "", ["s00"]))] if rnd.random() < 0.05 else ids


def a_batch(rnd: Random, known: Known) -> str:
    if known.batches and rnd.random() < 0.5:
        return rnd.choice(known.batches)
    return rnd.choice((*BATCHES, C_MIXED, C_FOREIGN, "0" * 32, "zzz"))


def a_field(rnd: Random, role: str, name: str) -> str:
    """Often one that the role may write, and so mostly read; else any."""
    writable = sorted(WRITABLE.get((role, name), {"name", "text"} & PLACES[name]))
    return rnd.choice(writable) if rnd.random() < 0.4 else rnd.choice(FIELDS[name])


def a_value(rnd: Random, path: str) -> object:
    """Likely to be the very value that is hidden there."""
    if path == "_id":
        return rnd.choice(
            ("s00", "s01", "s00-h0", "t0", "t0-h1", "65f000000000000000000000", "65f000000000000000000001")
        )
    chance = rnd.random()
    if chance < 0.1:
        return None  # what is absent, emptied or of another shape is told apart by this
    if chance < 0.75:
        return rnd.choice(tuple(LIKELY.get(path, (*NUMBERS, *TEXTS))))
    return rnd.choice(ODD) if chance < 0.9 else rnd.choice((*NUMBERS, *TEXTS))


def a_filter(rnd: Random, role: str, name: str, depth: int = 0) -> dict:
    chance = rnd.random()
    if depth < 2 and chance < 0.2:
        branches = [a_filter(rnd, role, name, depth + 1) for _ in range(rnd.randrange(1, 3))]
        return {rnd.choice(("$and", "$or", "$nor")): branches}
    if chance < 0.25:
        return {"skills": {"$elemMatch": {rnd.choice(("name", "score")): a_condition(rnd, "skills.score")}}}
    if chance < 0.28:
        return rnd.choice(({"$where": "1"}, {"$expr": {"$gt": ["$salary", 1]}}, {"name": {"$foo": 1}}, {"": 1}, {}))
    paths = {a_field(rnd, role, name) for _ in range(rnd.choice((1, 1, 2)))}
    return {path: a_condition(rnd, path) for path in sorted(paths)}


def a_condition(rnd: Random, path: str) -> object:
    operator = rnd.choice(
        (
            "",
            "",
            "$eq",
            "$ne",
            "$gt",
            "$gte",
            "$lt",
            "$lte",
            "$in",
            "$nin",
            "$not",
            "$exists",
            "$regex",
            "$size",
            "$all",
        )
    )
    match operator:
        case "":
            return a_value(rnd, path)
        case "$in" | "$nin" | "$all":
            return {operator: [a_value(rnd, path) for _ in range(rnd.randrange(1, 3))]}
        case "$not":
            return {"$not": {rnd.choice(("$gt", "$lt", "$eq")): a_value(rnd, path)}}
        case "$exists":
            return {"$exists": rnd.random() < 0.5}
        case "$regex":
            return {"$regex": rnd.choice(("^h", "s", "^123", "9$", "^(a+)+$"))}
        case "$size":
            return {"$size": rnd.randrange(4)}
        case _:
            return {operator: a_value(rnd, path)}


def a_document(rnd: Random, known: Known, name: str, *, with_id: bool = True) -> dict:
    """Of fields that may be written, mostly so that the rules take it; seldom with one that may not."""
    found: dict = {"staff": {"name": "new"}, "notes": {"text": "new"}, "teams": {"name": "new"}}[name]
    writable = WRITABLE.get((known.role, name), frozenset())
    if name == "staff" and rnd.random() < 0.9:
        found["dept"] = "ops"
    if name == "teams":
        found["lead"] = ME
    for path in rnd.sample(sorted(writable), min(len(writable), rnd.randrange(3))):
        head, _, tail = path.partition(".")
        value = rnd.choice(tuple(LIKELY[path]))
        if head == "badge":
            value = rnd.choice(("b-s00", f"b-{known.new_name()}"))
        found.setdefault(
            head,
            [{tail: value}] if head == "skills" else {tail: value} if tail else [value] if head == "tags" else value,
        )
    if rnd.random() < 0.12:
        found[
            rnd.choice(("salary", "ssn", "note", "secret", "budget", "owner_id", "tenant_id", "nothing", "_version"))
        ] = 1
    if rnd.random() < 0.08:
        found[rnd.choice(("level", "at", "stars", "pay"))] = rnd.choice(ODD)
    if with_id and name != "notes" and rnd.random() < 0.8:
        # Never a hidden one: what a 409 tells of those is the one exception, pinned elsewhere.
        found["_id"] = str(rnd.choice((known.new_name(), known.new_name(), VISIBLE_IDS[name][0], "d0", "batch", 5)))
        if found["_id"] == "d0" and name != "staff":
            found["_id"] = known.new_name()
    return found


def options(rnd: Random) -> dict:
    found: dict = {}
    for key, values in (
        ("atomic", (True, False)),
        ("dry_run", (True, False)),
        ("results", (True,)),
        ("max_affected", (0, 1, 3, 30)),
    ):
        if rnd.random() < 0.25:
            found[key] = rnd.choice(values)
    return found | ({rnd.choice(("reason", "resuls")): "why"} if rnd.random() < 0.08 else {})


def list_params(rnd: Random, known: Known, name: str) -> list[tuple[str, object]]:
    params: list[tuple[str, object]] = []
    if rnd.random() < 0.5:
        params.append(("_limit", rnd.choice(("1", "2", "3", "5", "50", "0", "x"))))
    if rnd.random() < 0.4:
        params.append(("_filter", json.dumps(a_filter(rnd, known.role, name))))
    if rnd.random() < 0.3:
        path = a_field(rnd, known.role, name)
        value = a_condition(rnd, path)
        params.append((path, value if isinstance(value, str) else json.dumps(value)))
    if rnd.random() < 0.15:
        params.append(("_sort", rnd.choice(("", "-")) + a_field(rnd, known.role, name)))
    if rnd.random() < 0.08:
        params.append(("_count", rnd.choice(("true", "false", "x"))))
    if rnd.random() < 0.08:
        params.append(("_fields", ",".join(a_field(rnd, known.role, name) for _ in range(2))))
    if rnd.random() < 0.2:
        params.append(("_as_of", a_moment(rnd)))
    if rnd.random() < 0.03:
        params.append((rnd.choice(("_where", "_skip", "where[salary]")), "1"))
    return params


def a_moment(rnd: Random) -> str:
    """Mostly one at which states began, ended or held; seldom one that nobody knows, or none."""
    if rnd.random() < 0.12:
        return rnd.choice(("2020-01-01", "2099-01-01", "1", "2026-01-31T12:00:00Z", "2026-01-31T04:00:00Z"))
    return f"2026-01-31T0{rnd.randrange(5, 10)}:{rnd.choice(('00', '00', '30'))}:00Z"


def an_update(rnd: Random, known: Known, name: str) -> dict:
    """Merged fields or operators, on fields that may be written and on others."""
    path = a_field(rnd, known.role, name)
    value = a_value(rnd, path)
    if path == "badge":
        value = f"b-{known.new_name()}"
    if rnd.random() < 0.5:
        head, _, tail = path.partition(".")
        return {head: {tail: value} if tail else value}
    operator = rnd.choice(
        ("$set", "$unset", "$inc", "$mul", "$min", "$max", "$push", "$pull", "$addToSet", "$rename", "$currentDate")
    )
    if operator == "$rename":
        value = rnd.choice(("grade", "note", "salary", "nothing"))
    return {operator: {path: value}}


def some_headers(rnd: Random, known: Known, *names: str) -> tuple[tuple[str, str], ...]:
    """Now and then one of these headers; If-* with tags that were told, or with others."""
    if rnd.random() > 0.15:
        return ()
    name = rnd.choice(names)
    tag = rnd.choice((*known.etags[-3:], '"1"', "*", 'W/"x"', "x"))
    return ((name, tag if name.startswith("if-") else rnd.choice(("k1", "k2", "a reason", ""))),)
