"""Values that nobody may see, put wherever a role does not see; and what an answer must never hold, by the oracle alone."""

import base64
import re
from datetime import datetime
from itertools import count
from random import Random

from tests.laws.two_worlds.contents import Contents, two_contents
from tests.laws.two_worlds.rules import COLLECTIONS, CONTROL, PLACES, hidden_places, sees

# A word, digits and a date that occur in no request and by chance in nothing else.
MARKS = (b"CANARY", b"7531902468", b"2199-07")
_MARK = re.compile(b"|".join(MARKS), re.IGNORECASE)
_CODED = re.compile(rb"[A-Za-z0-9_-]{16,}")
_OWN = {"_id", "_version", "tenant_id"}


def contents_with_canaries(role: str, seed: int) -> Contents:
    """One world of the two, in which every hidden value tells itself wherever it is shown."""
    contents, rnd, numbers = two_contents(role, seed)[0], Random(f"{seed}/canaries"), count()
    for name in COLLECTIONS:
        for row in contents.live[name]:
            _mark(rnd, numbers, role, name, row)
    for record in contents.versions:
        _mark(rnd, numbers, role, "staff", record["data"])
        if not sees_now(role, "staff", record["data"]) and record["ended"]["action"] == "delete":
            record["ended"] |= {"reason": "CANARY reason", "by": "CANARY"}
    return contents


def _mark(rnd: Random, numbers: count, role: str, name: str, row: dict) -> None:
    visible = sees_now(role, name, row)
    hidden = hidden_places(role, name, row) if visible else PLACES[name]
    for place in sorted(hidden - {*CONTROL[name], "pay.month", "pay.bonus", "skills.name", "skills.score"}):
        if place == "badge":
            row[place] = f"CANARY {next(numbers)}"
        elif place in row or rnd.random() < 0.8:
            row[place] = _canary(rnd, numbers)
    for place in sorted(hidden & {"pay.month", "pay.bonus"}):
        if isinstance(row.get("pay"), dict):
            row["pay"][place.split(".")[1]] = _canary(rnd, numbers)
    if "skills.score" in hidden and isinstance(row.get("skills"), list):
        for one in row["skills"]:
            if isinstance(one, dict):
                one["score"] = _canary(rnd, numbers)
    if visible:
        if isinstance(row.get("ssn"), str) and "ssn" not in hidden and len(row["ssn"]) >= 8:
            row["ssn"] = f"CANARY{next(numbers)}-{row['ssn'][-4:]}"  # of which the mask shows the end
        return
    row["CANARY"] = _canary(rnd, numbers)
    if "_made" in row:
        row["_made"] |= {"by": "CANARY", "reason": "CANARY"}
    if not sees_now(role, name, row | {"owner_id": "CANARY"}):
        row["owner_id"] = "CANARY"


def _canary(rnd: Random, numbers: count) -> object:
    text, number = f"CANARY {next(numbers)}", 7531902468 * 10**4 + next(numbers)
    return rnd.choice(
        (
            text,
            text,
            number,
            number,
            float(number),
            datetime(2199, 7, 1 + number % 28),
            {"x": text},
            [text, number],
            {text: 1},
        )
    )


def marks_in(raw: bytes) -> list[bytes]:
    """The canaries in these bytes, also in what they hold in base64, at any of its four beginnings."""
    found = _MARK.findall(raw)
    for coded in _CODED.findall(raw):
        for start in range(4):
            text = coded[start:]
            found += _MARK.findall(base64.urlsafe_b64decode(text[: len(text) // 4 * 4]))
    return found


def sees_now(role: str, collection: str, row: dict) -> bool:
    """The oracle, for rows of any time: a control field that is null is like one that is absent."""
    return sees(role, collection, _without_nulls(collection, row))


def _without_nulls(collection: str, row: dict) -> dict:
    return {name: value for name, value in row.items() if value is not None or name not in CONTROL[collection]}


def is_shown_rightly(role: str, collection: str, shown: dict, row: dict) -> bool:
    """Whether the oracle lets the role see this much of the stored row, and the shown values are the stored ones."""
    if not sees_now(role, collection, row) or shown["_id"] != str(row["_id"]):
        return False
    hidden = hidden_places(role, collection, _without_nulls(collection, row))
    places = PLACES[collection] - hidden
    if not set(shown) <= _OWN | {place.partition(".")[0] for place in places}:
        return False
    for parent, value in shown.items():
        below = {place.partition(".")[2] for place in places if place.startswith(f"{parent}.")}
        if below and not all(set(one) <= below for one in _objects(value)):
            return False
        if not below and parent not in ("ssn", "_id") and not _equal(value, row.get(parent)):
            return False
    return True


def _objects(value: object) -> list[dict]:
    if isinstance(value, dict):
        return [value]
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _equal(shown: object, stored: object) -> bool:
    """Of plain values; a date is shown as text."""
    plain = (str, bool, int, float)
    return not isinstance(stored, plain) or shown == stored
