"""What a call asks for, and what it refuses to ask. Pure: nothing is sent."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

import orjson
import pytest
from bson.binary import Binary
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId

from permission_mongo.client import Client, IncompletePast, Unsendable, service
from permission_mongo.client.call import segment
from permission_mongo.client.documents import DocumentCalls, selected
from permission_mongo.client.json import typed, write_json
from permission_mongo.client.results import Page
from permission_mongo.client.walking import Walk
from tests.client.scripts import Course, answer, run

NOTES = DocumentCalls("notes")
ONE = UUID("123e4567-e89b-12d3-a456-426614174000")
FOUND: Any = {"data": [], "pagination": {"cursor": None, "has_more": False}}


def sent(call: Any, said: object = None) -> Any:
    course = Course()
    try:
        run(call, [answer(200, {"_id": "a"} if said is None else said)], course)
    finally:
        [step] = course.sent
    return step


# -- the package


def test_it_loads_nothing_of_the_gateway():
    """Nor what only the gateway needs: whoever calls it needs none of that."""
    told = "import sys, permission_mongo.client; print(*sys.modules)"
    run_ = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    loaded = set(run_.stdout.split())
    own = {name for name in loaded if name.startswith("permission_mongo")}
    assert {name for name in own if not name.startswith("permission_mongo.client")} == {"permission_mongo"}
    roots = {name.partition(".")[0] for name in loaded}
    assert roots & {"pymongo", "bson", "starlette", "uvicorn", "casbin", "yaml", "jwt", "jiter"} == set()


# -- paths


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("a", "a"),
        ("a.b:c@d~e-f", "a.b%3Ac%40d~e-f"),
        ("%2f", "%252f"),
        ("a b?c#d", "a%20b%3Fc%23d"),
        ("ü", "%C3%BC"),
        (ONE, str(ONE)),
        (ObjectId("65f000000000000000000000"), "65f000000000000000000000"),
        ("...", "..."),
        (";a=b", "%3Ba%3Db"),
    ],
)
def test_an_id_is_one_segment(given, path):
    assert segment(given) == path


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        ".",
        "..",
        "a/b",
        "/",
        "\\",
        "a\x00",
        "batch",
        "count",
        "query",
        "aggregate",
        "deleted",
        "\ud800",
        3,
        None,
        b"a",
        ["a"],
        {},
    ],
)
def test_an_id_that_would_ask_for_something_else_is_refused(wrong):
    """`PUT /notes/batch` would change many documents, and `GET /notes/deleted` list others."""
    for ask in (NOTES.get, NOTES.delete_one, NOTES.versions, lambda one: NOTES.replace_one(one, {})):
        with pytest.raises(Unsendable):
            ask(wrong)


@pytest.mark.parametrize(
    "wrong", ["", "_pm", "health", "ready", "metrics", "api", "a/b", "..", "a\\b", "\x00", None, 3]
)
def test_a_collection_is_none_of_the_services_routes(wrong):
    client = Client("http://localhost")
    with pytest.raises(Unsendable):
        client[wrong]


@pytest.mark.parametrize("wrong", [-1, True, "1", 1.0, None])
def test_a_version_is_a_whole_number(wrong):
    for ask in (NOTES.version, NOTES.restore, lambda one, at: NOTES.diff(one, 1, at)):
        with pytest.raises(Unsendable):
            ask("a", wrong)


def test_the_address_may_have_a_path_of_its_own():
    assert str(Client("https://example.com/gateway/")._line.address) == "https://example.com/gateway"


# -- headers


@pytest.mark.parametrize("wrong", ["", " a", "a\r\nx: y", "a\nb", "a\x00", "\x7f", "☃", 3, ["a"]])
@pytest.mark.parametrize("name", ["reason", "if_match", "idempotency_key", "namespace"])
def test_no_header_is_smuggled_in(name, wrong):
    with pytest.raises(Unsendable) as raised:
        NOTES.update_one("a", {}, **{name: wrong})
    assert name in str(raised.value)


def test_what_a_write_says_beside_its_body():
    step = sent(NOTES.update_one("a", {"b": 1}, if_match='"t"', reason="café", namespace="eu", idempotency_key="k"))
    assert step.body == b'{"b":1}'
    named = ("if-match", "x-change-reason", "x-namespace", "idempotency-key", "content-type")
    assert [step.headers[name] for name in named] == ['"t"', "café", "eu", "k", "application/json"]


def test_a_reason_of_a_batch_is_any_text():
    step = sent(NOTES.delete_many(["a"], reason="☃"), {"deleted": 1, "missing": []})
    assert orjson.loads(step.body) == {"ids": ["a"], "reason": "☃"}


def test_each_option_of_a_batch_is_sent_and_what_says_nothing_is_not():
    """That nothing at all may be affected is something to say."""
    call = NOTES.delete_many(
        ["a"], atomic=True, dry_run=True, max_affected=0, results=True, reason="x", partial_ok=True
    )
    said = {"atomic": True, "dry_run": True, "max_affected": 0, "results": True, "reason": "x"}
    assert orjson.loads(call.body or b"") == {"ids": ["a"], **said}
    assert orjson.loads(NOTES.delete_many(["a"], dry_run=False, max_affected=None).body or b"") == {"ids": ["a"]}


def test_whoever_does_not_wait_says_so():
    step = sent(NOTES.delete_many(["a"], respond_async=True), {"deleted": 1, "missing": []})
    assert step.headers["prefer"] == "respond-async"


# -- options


@pytest.mark.parametrize("name", ["dryrun", "dry-run", "Reason", "filter", "token", "if_match"])
def test_an_option_that_there_is_not_is_no_option(name):
    """A batch whose `dry_run` is misspelled would not be dry."""
    notes = Client("http://127.0.0.1:9")["notes"]
    for ask in (notes.delete_many, notes.update_many, notes.insert_many):
        with pytest.raises(TypeError, match=name):
            ask(["a"], **{name: True})


def test_an_option_of_a_list_is_refused_before_it_is_read():
    client = Client("http://127.0.0.1:9")
    for ask in (client["notes"].find, client["notes"].deleted, client.audit, client.typed):
        with pytest.raises(TypeError):
            ask(**({"name": "a"} if ask == client.typed else {}), srot="a")


# -- which documents


@pytest.mark.parametrize(
    ("which", "body"),
    [
        (["a", ONE], {"ids": ["a", str(ONE)]}),
        (("a",), {"ids": ["a"]}),
        ({"ids": ["a"]}, {"ids": ["a"]}),
        ({"filter": {"a": 1}}, {"filter": {"a": 1}}),
        ({"filter": {}, "all": True}, {"filter": {}, "all": True}),
        ({"items": [{"id": ONE, "if_match": "x"}]}, {"items": [{"id": str(ONE), "if_match": "x"}]}),
    ],
)
def test_a_selection(which, body):
    assert selected(which) == body


@pytest.mark.parametrize(
    "wrong",
    [
        "abc",
        b"abc",
        {},
        {"status": "open"},
        {"ids": ["a"], "filter": {}},
        {"ids": "abc"},
        {"ids": {"a": 1}},
        [3],
        {"ids": ["a"], "x": 1},
        {"all": True},
    ],
)
def test_what_could_be_meant_in_two_ways_is_refused(wrong):
    """Of a text each sign would be an id; and PyMongo's bare filter may be a field called `ids`."""
    for ask in (NOTES.delete_many, NOTES.update_many):
        with pytest.raises(Unsendable):
            ask(wrong)


# -- values


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2026, 1, 31, 12), {"$date": "2026-01-31T12:00:00.000Z"}),
        (datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=2))), {"$date": "2026-01-31T10:00:00.000Z"}),
        (date(2026, 1, 31), {"$date": "2026-01-31"}),
        (Decimal("1.50"), {"$numberDecimal": "1.50"}),
        (Decimal128("1.50"), {"$numberDecimal": "1.50"}),
        (ObjectId("65f000000000000000000000"), {"$oid": "65f000000000000000000000"}),
        (ONE, str(ONE)),
        (b"\x00\xff", {"$binary": {"base64": "AP8=", "subType": "00"}}),
        (Binary(b"a", 128), {"$binary": {"base64": "YQ==", "subType": "80"}}),
        (Int64(3), 3),
        ((1, 2), [1, 2]),
        (MappingProxyType({"a": 1}), {"a": 1}),
    ],
)
def test_values_are_sent_as_what_they_are(value, text):
    assert orjson.loads(write_json({"a": value})) == {"a": text}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_not_sent_as_null(number):
    for value in (number, [None, (1, number)], {"a": {"b": [number]}}):
        with pytest.raises(Unsendable, match="not finite"):
            write_json({"a": value})
    assert write_json({"a": None, "b": [1.5, "null"]}) == b'{"a":null,"b":[1.5,"null"]}'


def test_what_holds_itself_is_refused():
    circle: dict[str, Any] = {}
    circle["in"] = [circle]
    deep: Any = []
    for _ in range(1000):
        deep = [deep]
    for value in (circle, deep):
        with pytest.raises(Unsendable):
            write_json(value)


@pytest.mark.parametrize("wrong", [object(), 2**70, {3: 4}, "\ud800", lambda: 1, type])
def test_what_is_no_value_is_refused(wrong):
    with pytest.raises(Unsendable):
        write_json({"a": wrong})


def test_values_are_read_by_their_paths_and_stay_where_they_can_not_be():
    document = {
        "at": "2026-01-31T12:00:00Z", "lines": [{"at": "2026-01-31T12:00:00Z"}, {"at": "****"}], "id": "****", "no": None,
        "price": {"$numberDecimal": "1.5"}, "odd": {"$numberDecimal": "x"}, "raw": {"$binary": {"base64": "AP8=", "subType": "00"}},
        "plain": {"$date": 1, "b": 2}, "big": {"$date": {"$numberLong": "99999999999999999"}},
    }  # fmt: skip
    found = typed(document, {"at": datetime, "lines.at": datetime, "id": ObjectId, "no": datetime, "price": Decimal})
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert found == {
        **document, "at": noon, "lines": [{"at": noon}, {"at": "****"}], "price": Decimal("1.5"), "raw": b"\x00\xff",
    }  # fmt: skip


# -- lists


def walked(walk: Walk, *pages: Page) -> list[Any]:
    """The bodies that were asked, and the rows."""
    coming, asked = iter(pages), []
    while (call := walk.wanted()) is not None:
        asked.append(orjson.loads(call.body or b"{}"))
        walk.take(next(coming))
    return [asked, [row["n"] for row in walk.rows]]


def page(*rows: int, cursor: str | None = None) -> Page:
    return Page(tuple({"n": n} for n in rows), cursor, cursor is not None)


def test_a_list_asks_for_what_is_left_of_its_limit():
    walk = Walk(NOTES.pages({"a": 1}, {"sort": "-b"}), limit=5, page_size=2)
    asked, rows = walked(walk, page(1, 2, cursor="x"), page(3, 4, cursor="y"), page(5, cursor="z"))
    assert rows == [1, 2, 3, 4, 5]
    assert [(one["limit"], one.get("cursor"), one["sort"]) for one in asked] == [
        (2, None, "-b"),
        (2, "x", "-b"),
        (1, "y", "-b"),
    ]


def test_an_empty_page_is_not_the_end():
    assert walked(Walk(NOTES.pages(None, {})), page(cursor="x"), page(1))[1] == [1]


def test_a_list_of_the_past_that_left_something_out_says_so_once():
    walk = Walk(NOTES.pages(None, {"as_of": "2026-01-31"}))
    with pytest.warns(IncompletePast):
        walk.take(Page(({"n": 1},), "x", True, complete=False))
    walk.take(Page(({"n": 2},), None, False, complete=False))
    assert walk.is_complete is False


@pytest.mark.parametrize("wrong", [-1, 1.5, "3", True])
def test_a_limit_is_a_whole_number(wrong):
    for given in ({"limit": wrong}, {"page_size": wrong}):
        with pytest.raises(Unsendable):
            Walk(NOTES.pages(None, {}), **given)


def test_the_past_is_asked_for_in_the_url_and_in_no_other_order():
    step = sent(NOTES.page({"a": 1}, 3, as_of=datetime(2026, 1, 31), fields=["a", "b"]), FOUND)
    assert step.target == "/notes?_limit=3&_as_of=2026-01-31T00%3A00%3A00.000Z&_fields=a%2Cb&_filter=%7B%22a%22%3A1%7D"
    for more in ({"sort": "a"}, {"count": True}, {"fields": "ab"}):
        with pytest.raises(Unsendable):
            NOTES.page({}, as_of="2026-01-31", **more)


def test_a_hash_is_sent_as_a_tag():
    for given in ("abc", '"abc"'):
        assert service.write_policy("x", given).headers["if-match"] == '"abc"'
