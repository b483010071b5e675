"""Hostile documents and expressions over them: everything BSON can put where a rule looks."""

from datetime import datetime
from itertools import combinations
from uuid import UUID

from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.dbref import DBRef
from hypothesis import strategies as st

from permission_mongo.policy.binding import Bindings
from permission_mongo.policy.kin import Kin
from permission_mongo.policy.remembered import LONG

OID, OTHER_OID = ObjectId("65f000000000000000000001"), ObjectId("65f000000000000000000002")
UID, OTHER_UID = UUID("123e4567-e89b-12d3-a456-426614174000"), UUID("123e4567-e89b-12d3-a456-426614174001")
DAY, OTHER_DAY = datetime(2026, 1, 31, 12), datetime(2026, 2, 1)
KINDS = {"o": "objectId", "u": "uuid", "t": "date", "s": "string", "n": "number"}

SCALARS = [
    None, True, False, 0, 1, 2, Int64(1), 2**53 + 1, -1, 0.0, -0.0, 1.0, 1.5, 0.1, 2.0**53, float("nan"), float("inf"),
    float("-inf"), Decimal128("1"), Decimal128("1.0"), Decimal128("0.1"), Decimal128("1.5"), Decimal128("NaN"),
    Decimal128("Infinity"), "", "a", "ab", "b", "A", "é", "a.b", "^a", "1", "true", str(OID), str(UID), OID, OTHER_OID, UID, OTHER_UID,
    DAY, OTHER_DAY, datetime(1969, 1, 1), Binary(b"a"), Binary(b"a", 128), Regex("a"), Regex("^a", "i"), Code("a"),
    Code("a", {"x": 1}), Timestamp(1, 1), MinKey(), MaxKey(),
]  # fmt: skip
CONTAINERS = [
    [], {}, [[]], [{}], ["a"], [1], [None], [True], ["a", "ab"], ["a", 1, None], [["a"]], [1, 2], [2, 1.0], [OID], [UID], [DAY],
    {"b": 1}, {"b": "a"}, {"b": None}, {"b": {"c": 1}}, {"b": {"c": "a"}}, {"b": ["a"]}, {"b": {}}, {"b": []}, {"b": [1, 2]}, {"c": 1},
    [{"b": 1}], [{"b": "a"}, {"b": 1}], [{"b": None}], [{"b": "a"}, 1], [[{"b": "a"}]], [{"b": ["a"]}], [{"b": {"c": 1}}],
    {"b": [{"c": 1}]}, {"b": [{"c": "a"}, {"c": 1}]}, {"0": "a"}, {"b.c": 1}, DBRef("a", OID), {"b": DBRef("a", 1)}, [DBRef("a", 1)],
    [{"b": 1, "c": "a"}, {"b": 2, "c": "b"}], [{"b": 1, "c": "b"}], [float("nan")], [Regex("a")], ["b", "é"], [{"b": float("nan")}],
    [Decimal128("1")], [{"c": 1}], [{"b": True}], [{"b": DAY}], ["a", ["a"]], ["a", {}],
]  # fmt: skip
FIELDS = ("a", "o", "u", "t", "s", "n")


def corpus() -> list[dict]:
    """Each value at each field, alone; the empty document; a dotted name. Ids count from 0."""
    documents = [{field: value} for field in FIELDS for value in (*SCALARS, *CONTAINERS)]
    documents += [{}, {"a.b": 1}, {"a": {"b.c": 1}}]
    return [{"_id": n, **document} for n, document in enumerate(documents)]


def bindings() -> Bindings:
    claims = {
        "text": "a", "other": "ab", "number": 1, "float": 1.5, "flag": True, "list": ["a", 1], "mixed": ["a", {"$ne": None}],
        "empty": [], "object": {"$ne": None}, "null": None, "dollar": "$where", "nul": "a\x00", "huge": 2**70,
        "nan": float("nan"), "oid": str(OID), "oids": [str(OID), "nope"], "uid": str(UID), "day": "2026-01-31T12:00:00Z",
    }  # fmt: skip
    return Bindings("a", "acme", ("user", "a"), claims, {"method": "GET", "ip": "127.0.0.1"}, DAY, KIN)


# Enough of them to be looked up and not compared, one that may not enter a filter, and ids of every kind. Of reports
# nothing is known.
KIN = Kin({"$subordinates": ("a", "$where", str(OID), str(UID), *(f"p{n}" for n in range(LONG))), "$ancestors": ()})


VALUES = [
    "null", "true", "false", "0", "1", "2", "1.5", "0.1", "-1", "9007199254740993", "'a'", "'ab'", "''", "'b'", "'é'",
    "date('2026-01-31T12:00:00Z')", "oid('65f000000000000000000001')", "now", "user.id", "user.tenant_id", "user.text", "user.number",
    "user.float", "user.flag", "user.missing", "user.null", "user.object", "user.dollar", "user.nul", "user.huge", "user.nan",
]  # fmt: skip
ORDERABLE = [v for v in VALUES if v not in ("null", "true", "false")]
LISTS = [
    "[]", "['a']", "['a', 1, null]", "[1, 1.5]", "[true]", "['a', user.missing]", "user.roles", "user.list", "user.mixed", "user.empty",
    "user.object", "user.missing", "user.$subordinates", "user.$directReports", "user.$ancestors", "[date('2026-01-31T12:00:00Z'), oid('65f000000000000000000001')]",
]  # fmt: skip
TYPED = {
    "o": ["user.oid", "user.text", "'65f000000000000000000001'", "user.day"],
    "u": ["user.uid", "user.text", "'123e4567-e89b-12d3-a456-426614174000'"],
    "t": ["user.day", "now", "'2026-01-31T12:00:00Z'", "user.text"],
    "s": ["'a'", "user.text", "user.number", "user.other"],
    "n": ["1", "1.5", "user.number", "user.text"],
}
PATHS = ("resource.a", "resource.a.b", "resource.a.b.c")


def alternatives() -> list[str]:
    """Two and three tests of one place, any of which will do: with every two operands, on one path or another."""
    places = [(path, VALUES) for path in PATHS] + [(f"resource.{field}", values) for field, values in TYPED.items()]
    found = []
    for count, (path, values) in enumerate(places):
        pairs = list(combinations(values, 2))
        for one, other in pairs[count :: len(PATHS)] if values is VALUES else pairs:
            found += [f"{path} == {one} || {path} == {other}", f"{path} != {one} || {path} != {other}"]
            found.append(f"!({path} == {one} && {path} != {other}) || {path} == {other}")
    for path in PATHS:
        found += [f"{path} in {items} || {path} == {value}" for items in LISTS for value in VALUES[:6]]
        found += [f"{path} in {items} || {path} == 1.5 || has({path}) || {path} != 'a'" for items in LISTS]
    return found


def leaves() -> list[str]:
    """Every operator with every kind of operand, each once."""
    found = [f"{path} {op} {value}" for path in PATHS for op in ("==", "!=") for value in VALUES]
    found += [f"{path} {op} {value}" for path in PATHS for op in ("<", "<=", ">", ">=") for value in ORDERABLE]
    found += [f"resource.{f} {op} {v}" for f, vs in TYPED.items() for v in vs for op in ("==", "!=")]
    found += [f"resource.{f} {op} {v}" for f, vs in TYPED.items() if f != "u" for v in vs for op in ("<", ">=")]
    found += [f"resource.o in [{v}]" for v in TYPED["o"]] + [
        "resource.o in user.oids",
        "resource.o in user.$subordinates",
        "resource.u in user.$subordinates",
        "resource.s in user.$subordinates",
        "containsAny(resource.o, user.$subordinates)",
        "containsAny(resource.o, user.oids)",
    ]
    found += [f"{path} in {items}" for path in PATHS for items in LISTS]
    found += [f"{value} in {path}" for path in PATHS for value in VALUES]
    found += [f"has({path})" for path in PATHS] + [f"{path} is null" for path in PATHS]
    found += [
        f"startsWith({p}, {v})"
        for p in PATHS
        for v in ("'a'", "''", "'^a'", "'a.'", "user.text", "user.number", "user.nul")
    ]
    found += [f"contains{q}({path}, {items})" for q in ("Any", "All") for path in PATHS for items in LISTS]
    tests = [f"x {op} {v}" for op in ("==", "!=") for v in VALUES] + [
        f"x {op} {v}" for op in ("<", ">=") for v in ORDERABLE
    ]
    tests += [f"x in {items}" for items in LISTS] + [
        "startsWith(x, 'a')",
        "!(startsWith(x, 'a'))",
        "!(x == 'a')",
        "!(x < 2)",
    ]
    tests += ["x == 'a' || x == 1", "!(x in ['a'])", "not x in []", "x in []", "x == 'a' || user.missing == x"]
    tests += [
        "x.b == 1",
        "x.b != 'a'",
        "x.b == 1 && x.c == 'a'",
        "x.b == 1 || x.c == 'b'",
        "!(x.b == 1 && x.c == 'b')",
        "x.b < 2",
    ]
    tests += [
        "x.b.c == 1",
        "'a' in x.b",
        "x.b == user.missing",
        "!(x.b == user.missing || x.b == 1)",
        "any(x.b, y => y == 'a')",
    ]
    tests += [
        "containsAny(x.b, ['a'])",
        "!(any(x.b, y => y != 'a'))",
        "startsWith(x.b, 'a')",
        "x.b in [1, 2]",
        "not x.b in ['a']",
    ]
    found += [f"any({path}, x => {test})" for path in ("resource.a", "resource.a.b") for test in tests]
    found += [
        "user.text == 'a'",
        "user.missing == 'a'",
        "'a' in user.roles",
        "user.number in [1]",
        "now > date('2020-01-01')",
    ]
    return found


def expressions() -> st.SearchStrategy[str]:
    """Trees of leaves, up to four deep."""
    leaf = st.sampled_from(leaves())
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            inner.map(lambda e: f"!({e})"),
            st.lists(inner, min_size=2, max_size=3).map(lambda es: "(" + " && ".join(f"({e})" for e in es) + ")"),
            st.lists(inner, min_size=2, max_size=3).map(lambda es: "(" + " || ".join(f"({e})" for e in es) + ")"),
        ),
        max_leaves=6,
    )


def documents() -> st.SearchStrategy[dict]:
    value = st.recursive(
        st.sampled_from(SCALARS),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "b", "c", "0"]), inner, max_size=3)
        ),
        max_leaves=5,
    )
    held = st.one_of(value, st.sampled_from(CONTAINERS))
    return st.fixed_dictionaries({"a": held}, optional=dict.fromkeys((*FIELDS[1:], "b", "a.b"), held))
