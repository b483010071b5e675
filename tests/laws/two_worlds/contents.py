"""Two sets of documents alike in all that one role may see, and different elsewhere."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

from bson.objectid import ObjectId

from permission_mongo.versions import record_id
from tests.laws.two_worlds.rules import (
    COLLECTIONS,
    CONTROL,
    DEPT,
    ME,
    PLACES,
    TENANT,
    WRITABLE,
    hidden_places,
    sees,
    shows_containers,
)
from tests.laws.worlds import CONTAINERS, SCALARS

NOW = datetime(2026, 1, 31, 12)
KEPT_SINCE = NOW.replace(hour=4)
B_MINE, B_MIXED, B_FOREIGN, B_NOBODYS = "a" * 32, "b" * 32, "c" * 32, "d" * 32
C_MIXED, C_FOREIGN = "e" * 32, "f" * 32
J_MINE, J_BOBS, J_FOREIGN = "1" * 32, "2" * 32, "3" * 32
JOBS = (J_MINE, J_BOBS, J_FOREIGN)
BATCHES = (B_MINE, B_MIXED, B_FOREIGN, B_NOBODYS, C_MIXED, C_FOREIGN)
HIDDEN_IDS = {
    "staff": tuple(f"s{n:02}-h{k}" for n in range(28) for k in range(8)),
    "notes": tuple(ObjectId(f"65f00000000000000000{2 * n + 1:04x}") for n in range(40)),
    "teams": tuple(f"t{n}-h{k}" for n in range(10) for k in range(4)),
}
DELETED_HIDDEN = tuple(f"d{n}-h{k}" for n in range(4) for k in range(6))
VISIBLE_IDS = {
    "staff": tuple(f"s{n:02}" for n in range(14)),
    "notes": tuple(ObjectId(f"65f00000000000000000{8 * n:04x}") for n in range(8)),
    "teams": tuple(f"t{n}" for n in range(6)),
}
MOVED_IDS = ("w0", "w1", "w2", "w3", "w4", "w5")  # seen once, and today hidden or gone with hidden content
_SOME = 100  # tries until a row is as it should be


@dataclass
class Contents:
    """What one world stores at the start; `hidden` are the ids of live documents that the role does not see."""

    live: dict[str, list[dict]]
    versions: list[dict]
    parts: list[dict]
    hidden: dict[str, set] = field(default_factory=dict)


def two_contents(role: str, seed: int) -> tuple[Contents, Contents]:
    """Both worlds of one seed."""
    shared = Random(f"{seed}/shared")
    live = {name: [_visible(shared, role, name, one) for one in VISIBLE_IDS[name]] for name in COLLECTIONS}
    gone = [_visible(shared, role, "staff", f"d{n}") for n in range(4)]
    earlier = [_visible(shared, role, "staff", row["_id"]) for row in live["staff"][:3]]
    for row in live["staff"][:3]:
        row["_version"] = 3
    for row in live["staff"][3:6]:
        row["_made"] = _mark("create", ME, C_MIXED)
    for rows in live.values():
        shared.shuffle(rows)
    return tuple(_contents(role, world, seed, (live, gone, earlier)) for world in "ab")  # type: ignore[return-value]


def _contents(role: str, world: str, seed: int, visible: tuple) -> Contents:
    rnd = Random(f"{seed}/{world}")
    live, gone, earlier = deepcopy(visible)
    for name in COLLECTIONS:
        live[name] = [_with_other_secrets(rnd, world, role, name, row) for row in live[name]]
    gone, earlier = ([_with_other_secrets(rnd, world, role, "staff", row) for row in rows] for rows in (gone, earlier))
    hidden: dict[str, set] = {}
    for name in COLLECTIONS:
        most = len(HIDDEN_IDS[name])
        ids = rnd.sample(HIDDEN_IDS[name], rnd.choice((0, 1, most // 8, most // 2, most * 9 // 10)))
        # Visible rows are stored in one order, which answers without an order show; hidden ones anywhere between them.
        for one in ids:
            live[name].insert(rnd.randrange(len(live[name]) + 1), _invisible(rnd, world, role, name, one))
        hidden[name] = set(ids)
    moved, records = _moved(rnd, world, role)
    if rnd.random() < 0.5:
        # Another tenant made an id again that a visible deleted document had.
        moved.append(_invisible(rnd, world, role, "staff", "d3") | {"tenant_id": "evil"})
    live["staff"] += moved
    hidden["staff"] |= {row["_id"] for row in moved}
    versions = [*_deleted(gone, rnd, world, role), *_histories(earlier, rnd, world, role), *records]
    return Contents(live, versions, _parts(versions, rnd, hidden["staff"]), hidden)


# -- rows


def _mark(action: str, by: str, batch: str | None = None) -> dict:
    return {"action": action, "by": by, "at": NOW.replace(hour=8)} | ({} if batch is None else {"batch": batch})


def _staff(rnd: Random, one: str) -> dict:
    row = {
        "owner_id": rnd.choice((ME, ME, "bob")),
        "name": rnd.choice(("ann", "ben", "cleo")),
        "dept": rnd.choice(("open", DEPT, "lab")),
        "level": rnd.randrange(10),
        "locked": rnd.random() < 0.3,
        "salary": rnd.randrange(1000),
        "ssn": rnd.choice(("123456789", "987654321", "short", None)),
        "badge": f"b-{one}",
        "note": rnd.choice(("hush", "loud")),
        "grade": rnd.choice("xyz"),
        "tags": rnd.choice((["red"], ["red", "blue"], [])),
        "at": NOW.replace(day=rnd.randrange(1, 28)),
        "pay": {"month": rnd.randrange(5), "bonus": rnd.randrange(5)},
        "skills": [{"name": rnd.choice(("sew", "sing")), "score": rnd.randrange(9)} for _ in range(rnd.randrange(3))],
    }
    if rnd.random() < 0.3:
        del row["pay"]["month"]
    optional = sorted(set(row) - {"badge", "name", *CONTROL["staff"]})
    for name in rnd.sample(optional, rnd.randrange(4)):
        del row[name]
    return row


def _note(rnd: Random, one: object) -> dict:
    return {
        "owner_id": rnd.choice((ME, "bob")),
        "text": rnd.choice(("x", "y")),
        "stars": rnd.randrange(5),
        "secret": rnd.choice("pq"),
    }


def _team(rnd: Random, one: object) -> dict:
    lead, public = rnd.choice((ME, "bob", "zoe")), rnd.random() < 0.5
    return {"name": rnd.choice("kl"), "lead": lead, "public": public, "budget": rnd.randrange(9)}


_ROWS: dict[str, Callable[[Random, object], dict]] = {"staff": _staff, "notes": _note, "teams": _team}


def _visible(rnd: Random, role: str, collection: str, one: object) -> dict:
    for _ in range(_SOME):
        row = _stored(rnd, collection, one, TENANT)
        if sees(role, collection, row):
            return row
    raise AssertionError(f"{role} sees nothing of {collection}")


def _invisible(rnd: Random, world: str, role: str, collection: str, one: object) -> dict:
    """A row of another tenant, or one outside the role's rules, with anything in its fields."""
    for _ in range(_SOME):
        row = _stored(rnd, collection, one, rnd.choice((TENANT, TENANT, "evil", "Acme", None, {"x": TENANT})))
        if collection == "staff":
            row["badge"] = f"h-{world}-{one}"
            row["dept"] = rnd.choice((row["dept"], [DEPT], {"x": "open"}))
        if not sees(role, collection, row):
            for name in rnd.sample(sorted(set(row) & PLACES[collection] - {"badge", *CONTROL[collection]}), 2):
                row[name] = rnd.choice((*SCALARS, *CONTAINERS))
            return row
    raise AssertionError(f"{role} sees all of {collection}")


def _stored(rnd: Random, collection: str, one: object, tenant: object) -> dict:
    row = {"_id": one} | _ROWS[collection](rnd, one)
    if collection != "teams":
        row["tenant_id"] = tenant
    if collection == "staff":
        row |= {"_version": 1, "_made": _mark("create", rnd.choice((ME, "bob")))}
    return row


# -- what differs in a row that both worlds show


def _with_other_secrets(rnd: Random, world: str, role: str, collection: str, row: dict) -> dict:
    hidden, whole = hidden_places(role, collection, row), shows_containers(role, collection, row)
    changed = deepcopy(row)
    for place in sorted(hidden - {"pay.month", "pay.bonus", "skills.name", "skills.score", *CONTROL[collection]}):
        _put(rnd, world, changed, place)
    if collection == "staff":
        _pay(rnd, changed, hidden, whole, writes="pay.month" in WRITABLE.get((role, collection), ()))
        _skills(rnd, changed, hidden, whole)
        if "ssn" not in hidden:
            _ssn(rnd, changed)
    for place in sorted(hidden & {*CONTROL[collection]}):
        other = changed | {place: rnd.choice(("zoe", "lab", "open", 7, True, None))}
        alike = (sees, hidden_places, shows_containers)
        if all(told(role, collection, other) == told(role, collection, row) for told in alike if _fits(place, other)):
            changed = other
    return changed


def _fits(place: str, row: dict) -> bool:
    """The oracle's own comparisons need a number there."""
    return place not in ("level", "stars") or isinstance(row[place], int)


def _put(rnd: Random, world: str, row: dict, place: str) -> None:
    if place == "badge":
        row[place] = f"h-{world}-{row['_id']}"
    elif rnd.random() < 0.25:
        row.pop(place, None)
    elif rnd.random() < 0.5:
        row[place] = rnd.choice((*SCALARS, *CONTAINERS))
    else:
        row[place] = rnd.choice((1, 7, 500, "hush", "p", "q", "x", "y", "z"))


def _pay(rnd: Random, row: dict, hidden: frozenset[str], whole: bool, *, writes: bool) -> None:
    """Who may write one part and read it sees whether that could be done: for those it is an object in both worlds."""
    if "pay.month" in hidden or (not whole and "month" not in row.get("pay", {})):
        row.pop("pay", None)
        if rnd.random() < 0.7:
            objects: tuple = ({"bonus": 3}, {}, {"bonus": [1]})
            others = () if writes else (5, "x", None, [], [1, 2], [{"bonus": 3}], [{}, 5])
            row["pay"] = rnd.choice((*objects, *others))
    elif "pay" in row:
        row["pay"].pop("bonus", None)
        if rnd.random() < 0.7:
            row["pay"]["bonus"] = rnd.choice((0, 3, *SCALARS, *CONTAINERS))


def _skills(rnd: Random, row: dict, hidden: frozenset[str], whole: bool) -> None:
    if "skills.name" in hidden:
        row.pop("skills", None)
        if rnd.random() < 0.7:
            row["skills"] = rnd.choice(([{"name": "spy", "score": 3}], [], [{"score": 1}], 5, None))
        return
    if "skills.score" in hidden:
        for one in row.get("skills", []):
            one.pop("score", None)
            if rnd.random() < 0.7:
                one["score"] = rnd.choice((1, 5, 8, "x", [1], {"a": 1}))
        if not whole and "skills" in row:
            row["skills"] += [{"score": 9}] * rnd.randrange(3)


def _ssn(rnd: Random, row: dict) -> None:
    """Another value of which the mask shows the same."""
    value = row.get("ssn")
    if isinstance(value, str):
        long = len(value) >= 8
        row["ssn"] = f"{rnd.randrange(10**5, 10**6)}{value[-4:]}" if long else rnd.choice(("short", "x", 5, {"a": 1}))


# -- versions and batches


def _record(row: dict, version: int, ended: dict) -> dict:
    tenant = None if isinstance(row.get("tenant_id"), dict) else row.get("tenant_id")
    kept = {
        "_id": record_id("staff", row["_id"], tenant, version),
        "collection": "staff",
        "doc_id": row["_id"],
        "tenant_id": tenant,
        "version": version,
        "mode": "full",
        "data": {**row, "_version": version},
        # One state an hour; what lives now began at eight.
        "ended": {**ended, "at": NOW.replace(hour=5 + version)},
        "began": NOW.replace(hour=4 + version),
    }
    return kept | ({"gone": True} if ended["action"] == "delete" else {})


def _deleted(gone: list[dict], rnd: Random, world: str, role: str) -> list[dict]:
    """Visible deletions in one order; invisible ones between them, as many as chance wants."""
    batches = (B_MINE, B_MINE, B_MIXED, None)
    records = [_record(row, 1, _mark("delete", ME, batch)) for row, batch in zip(gone, batches, strict=True)]
    for one in rnd.sample(DELETED_HIDDEN, rnd.randrange(len(DELETED_HIDDEN))):
        row = _invisible(rnd, world, role, "staff", one)
        records.append(_record(row, 1, _mark("delete", "bob", rnd.choice((B_MIXED, B_FOREIGN)))))
    return records


def _histories(earlier: list[dict], rnd: Random, world: str, role: str) -> list[dict]:
    """Of documents of version 3: the second state was visible, the first may have been anything."""
    records = []
    for row in earlier:
        if rnd.random() < 0.5:
            # In another tenant the id had a life of its own before.
            other = _invisible(rnd, world, role, "staff", row["_id"]) | {"tenant_id": "evil"}
            records.append(_record(other, 2, _mark("delete", "eve", B_FOREIGN)))
        records.append(_record(row, 2, _mark("update", ME)))
        if rnd.random() < 0.6:
            first = _invisible(rnd, world, role, "staff", row["_id"]) | {"tenant_id": TENANT}
            if not sees(role, "staff", first):
                records.append(_record(first, 1, _mark("update", rnd.choice(("bob", "eve")))))
    return records


def _moved(rnd: Random, world: str, role: str) -> tuple[list[dict], list[dict]]:
    """Documents that had a visible state and are out of sight now: the same as none at all."""
    live: list[dict] = []
    records: list[dict] = []
    for one in MOVED_IDS:
        fate = rnd.choice(("none", "hidden now", "deleted when hidden", "made again"))
        if fate == "none":
            continue
        seen = _visible(rnd, role, "staff", one) | {"badge": f"h-{world}-{one}-seen"}
        last = _invisible(rnd, world, role, "staff", one) | {"_version": 2}
        if sees(role, "staff", last | {"tenant_id": TENANT}):
            continue
        last["tenant_id"] = TENANT
        if fate == "deleted when hidden":
            records.append(_record(seen, 1, _mark("update", "bob")))
            records.append(_record(last, 2, _mark("delete", "bob", rnd.choice((B_MINE, B_MIXED, B_FOREIGN)))))
            continue
        ended = _mark("update", ME) if fate == "hidden now" else _mark("delete", ME, rnd.choice((B_MINE, B_FOREIGN)))
        record = _record(seen, 1, ended)
        record.pop("gone", None)
        live.append(last)
        records.append(record)
    return live, records


def _parts(versions: list[dict], rnd: Random, hidden: set) -> list[dict]:
    """What the batches did: deletions by their records, and documents made."""
    others = sorted(hidden)[:5]
    made = {C_MIXED: [f"s{n:02}" for n in range(3, 6)] + others, C_FOREIGN: others}
    parts = [_part(one, "create", ids) for one, ids in made.items()]
    for batch in (B_MINE, B_MIXED, B_FOREIGN):
        records = [one for one in versions if one["ended"].get("batch") == batch]
        rnd.shuffle(records)
        ids, numbers = [one["doc_id"] for one in records], [one["version"] for one in records]
        about = {"numbers": numbers, "tenants": [one["tenant_id"] for one in records]}
        parts.append(_part(batch, "delete", ids) | (about if records else {}))
    return parts


def _part(batch: str, action: str, ids: list) -> dict:
    return {"_id": ObjectId(), "batch": batch, "collection": "staff", "action": action, "ids": ids}


def jobs(contents: Contents) -> list[dict]:
    """Records of jobs that ended: the caller's own is alike in both worlds, another's and another tenant's is not."""
    size = len(contents.live["staff"])
    return [_a_job(J_MINE, ME, "acme", 3), _a_job(J_BOBS, "bob", "acme", size), _a_job(J_FOREIGN, ME, "evil", size + 1)]


def _a_job(one: str, by: str, tenant: str, count: int) -> dict:
    outcome = {
        "form": "batch",
        "verb": "deleted",
        "count": count,
        "done": [],
        "missing": [],
        "failed": [],
        "batch": one,
    }
    job = {"open": False, "state": "done", "kind": "token", "asked": "delete", "fence": 1, "holder": "x"}
    kept = {**job, "outcome": {**outcome, "stopped": None, "results": None}}
    first = {"_id": one, "collection": "staff", "tenant_id": tenant, "by": by, "at": datetime(2026, 1, 15)}
    return {**first, "counts": {"delete": count}, "job": kept}
