"""The quick way to judge a merge patch and the careful one agree: the same write, no write, or the same refusal."""

import os
from collections import Counter
from dataclasses import replace
from datetime import datetime
from functools import cache
from random import Random
from types import MappingProxyType
from uuid import UUID, uuid4

from bson import Int64, encode
from bson.decimal128 import Decimal128
from bson.objectid import ObjectId

from permission_mongo import rewrites
from permission_mongo.config.model import Config
from permission_mongo.documents.changes import Merge
from permission_mongo.errors import Refusal
from permission_mongo.planning.callers import Asking, Callers
from permission_mongo.planning.revisions import Reviser
from permission_mongo.principal import Principal
from permission_mongo.revisions import Rewrite
from permission_mongo.rewrites import rewrite
from permission_mongo.schema.model import Collection, Field
from permission_mongo.values import CODEC
from tests.builders import NOW, a_policy, a_rule, some_fields

CASES = int(os.environ.get("LAW_EXAMPLES", "1000"))
OID, UUID_ = ObjectId("65f000000000000000000001"), UUID(int=5)
FIELDS = {
    one.name: one
    for one in (
        Field("tenant_id", "string"),
        Field("owner", "string"),
        Field("text", "string", max_length=3),
        Field("kind", "string", enum=("a", "b")),
        Field("whole", "integer", min=0),
        Field("real", "number", max=9),
        Field("exact", "decimal"),
        Field("truth", "boolean"),
        Field("at", "date"),
        Field("who", "uuid"),
        Field("what", "objectId"),
        Field("needed", "string", required=True),
        Field("once", "string", immutable=True),
        Field("open", "any"),
        Field("inside", "object", properties={"a": Field("a", "string")}),
    )
}
NOTES = Collection("notes", FIELDS, "string", True, "tenant_id", "owner", timestamps=True, versioned=True)
RULES = (
    lambda: a_rule(when="resource.owner == user.id"),
    lambda: a_rule(when="resource.kind == 'a'", fields=some_fields(deny=["text", "inside.a"])),
    lambda: a_rule(when="resource.whole < 5", check="resource.whole < 3"),
    lambda: a_rule(fields=some_fields(allow=["text", "kind", "real", "owner"])),
    lambda: a_rule(fields=some_fields(deny_write=["real", "at"], mask={"text": "redact"})),
    lambda: a_rule(actions=("read",)),
    lambda: a_rule(effect="deny", when="resource.kind == 'b'"),
    lambda: a_rule(effect="deny", when="resource.truth == true", hidden=["exact", "who"]),
)
SENT = [
    *("", "a", "b", "ab", "abcd", "alice", 0, 1, 4, 7, -1, 1.5, 2.0, 12, 2**63, True, False, None, [], ["a"], {}, {"a": "x"}),
    *("2026-01-31", "2026-01-31T12:00:00Z", "no date", str(OID), str(UUID_), {"$oid": str(OID)}, {"$numberDecimal": "1.5"}),
]  # fmt: skip
STORED = [
    *("", "a", "b", "ab", "alice", "bob", 0, 1, 2, 4, 7, 1.5, 2.0, Int64(1), True, False, None, [], ["a"], {}, {"a": "x"}),
    *(NOW, datetime(2026, 1, 31), OID, UUID_, Decimal128("1.5"), Decimal128("NaN"), {"a": {"b": 1}}, [{"a": 1}]),
]  # fmt: skip
NAMES = (*FIELDS, "unknown", "0", "a.b", "_version", "created_at", "inside.a")


@cache  # to make Casbin's part of a policy takes longer than to judge a patch by it
def reviser_of(chosen: tuple[int, ...]) -> Reviser | None:
    """By these rules; None where they let nothing be changed at all."""
    rules = [RULES[number]() for number in chosen]
    config = Config(collections=MappingProxyType({"notes": NOTES}), policy=a_policy(a_rule(actions=("read",)), *rules))
    who = Principal("alice", "acme", frozenset({"user"}), {}, "token")
    try:
        return Reviser.of(NOTES, Asking(who, NOW, {}, "r"), Callers(config, b"k" * 32), uuid4)
    except Refusal:
        return None


def a_reviser(random: Random) -> Reviser | None:
    return reviser_of(tuple(sorted(random.sample(range(len(RULES)), random.randint(1, 4)))))


def a_document(random: Random) -> dict:
    """Mostly of the schema's types, as a change keeps it, and mostly the caller's."""
    fitting = {
        "text": "ab", "kind": random.choice("ab"), "whole": random.choice((0, 2, 4)), "real": 1.5, "exact": Decimal128("1.5"),
        "truth": random.random() < 0.3, "at": NOW, "who": UUID_, "what": OID, "needed": "x", "once": "y", "open": 1, "inside": {"a": "x"},
    }  # fmt: skip
    row = {name: value for name, value in fitting.items() if random.random() < 0.8}
    for name in random.sample(tuple(fitting), random.choice((0, 0, 1))):
        row[name] = random.choice(STORED)
    return {"_id": "n", "tenant_id": "acme", "owner": random.choice(("alice", "alice", "bob")), "_version": 3, **row}


def a_patch(random: Random, stored: dict) -> dict:
    names = random.sample(NAMES[2:], random.randint(1, 3))
    same = {name: stored[name] for name in names if random.random() < 0.2 and isinstance(stored.get(name), str | int)}
    fits = {
        "text": "b",
        "kind": "a",
        "whole": 2,
        "real": 3,
        "truth": True,
        "at": "2026-02-01",
        "needed": "z",
        "exact": "2",
    }
    return {name: fits.get(name, "a") if random.random() < 0.6 else random.choice(SENT) for name in names} | same


def outcome(make, stored):
    try:
        return rewrite(make(), stored)
    except Refusal as refusal:
        return (refusal.code, refusal.message, repr(refusal.details))


def judged(revision, stored, *before):
    try:
        return rewrite(revision, stored, *before)
    except Refusal as refusal:
        return (refusal.code, refusal.message, repr(refusal.details))


def test_both_ways_agree():
    reviser_of.cache_clear()
    random, seen = Random(20260131), Counter()
    for _ in range(CASES):
        reviser = a_reviser(random)
        if reviser is None:
            continue
        stored = a_document(random)
        change = Merge(a_patch(random, stored))
        quick = outcome(lambda change=change, by=reviser: by.revision(change), stored)
        careful = outcome(lambda change=change, by=reviser: by._revision(change), stored)
        assert repr(quick) == repr(careful), (change, stored)
        plain = reviser._plain_revision(change) is not None
        seen[plain, type(quick).__name__] += 1
    # The law says something only where the quick way is gone, with each end.
    assert min(seen[True, kind] for kind in ("Rewrite", "NoneType", "tuple")) > CASES / 200, seen


def test_bytes_that_were_counted_before_spare_counting_and_decide_nothing():
    """Of a document near the limit all is counted: what is refused, and how it is told, is the same."""
    reviser_of.cache_clear()
    random, seen = Random(20260131), Counter()
    for _ in range(CASES):
        reviser = a_reviser(random)
        if reviser is None:
            continue
        stored = a_document(random)
        revision = reviser._plain_revision(Merge(a_patch(random, stored)))
        if revision is None:
            continue
        before = len(encode(stored, codec_options=CODEC))
        revision = replace(revision, max_document_bytes=random.randint(before - 20, before + 200))
        whole, counted = judged(revision, stored), judged(revision, stored, before)
        if isinstance(whole, Rewrite):
            assert whole.size <= counted.size <= revision.max_document_bytes
            seen[counted.size > whole.size] += 1
            counted = replace(counted, size=whole.size)
        assert repr(counted) == repr(whole)
        if isinstance(whole, tuple):
            seen[whole[0]] += 1
    # The law says something only where the bound was enough, where it was not, and where there was too much.
    assert min(seen[one] for one in (True, False, "payload_too_large")) > CASES / 200, seen


def test_the_quick_way_that_does_not_ask_is_caught(monkeypatch):
    """The law sees a quick way that forgets the check of a rule, or what is hidden."""
    for forgotten, always in (("holds", lambda *_: True), ("are_same", lambda *_: False)):
        with monkeypatch.context() as patched:
            patched.setattr(f"permission_mongo.quick_rewrites.{forgotten}", always)
            assert _disagree(), forgotten
    with monkeypatch.context() as patched:
        patched.setattr("permission_mongo.revisions.Sight.bars", lambda *_: False)
        patched.setattr("permission_mongo.revisions.Writer.writes", lambda *_: True)
        patched.setattr(rewrites._Attempt, "_may", HONEST_MAY)
        assert _disagree()


HONEST_WRITES, HONEST_BARS = rewrites.Writer.writes, rewrites.Sight.bars


def HONEST_MAY(attempt, path):
    return HONEST_WRITES(attempt.writer, path) and not HONEST_BARS(attempt.row.sight, path)


def _disagree() -> bool:
    """Whether one of many changes shows it; the first is enough."""
    random = Random(7)
    reviser_of.cache_clear()  # what was made by the whole code, and is made by this one
    for _ in range(2000):
        reviser = a_reviser(random)
        if reviser is None:
            continue
        stored = a_document(random)
        change = Merge(a_patch(random, stored))
        quick = outcome(lambda change=change, by=reviser: by.revision(change), stored)
        careful = outcome(lambda change=change, by=reviser: by._revision(change), stored)
        if repr(quick) != repr(careful):
            return True
    return False
