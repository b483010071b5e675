"""No request, right or broken, is answered by a fault of ours or with more than the caller sees.

Sequences of one caller's requests against one gateway. Hidden fields, hidden rows, other tenants' rows and hidden history are
full of canaries; no byte of any answer holds one, and every document shown is one that the oracle of the two worlds, which
knows nothing of the gateway, lets that caller see in the database as it is at that moment.

LAW_EXAMPLES is the number of requests, REQUEST_SEED the beginning of all chance.
"""

import asyncio
import json
import os
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from random import Random
from urllib.parse import parse_qsl

import pytest

from permission_mongo.api.errors import STATUS
from permission_mongo.query.cursors import CursorKey
from permission_mongo.storage.layout import VERSIONS
from tests.http.harness import SECRET, a_config
from tests.laws.broken import as_sent, broken
from tests.laws.canaries import contents_with_canaries, is_shown_rightly, marks_in, sees_now
from tests.laws.two_worlds.contents import Contents
from tests.laws.two_worlds.rules import COLLECTIONS, CONFIG, POLICY, ROLES, SCHEMA
from tests.laws.two_worlds.sequences import GENERATORS, IN_THE_APP, learn
from tests.laws.two_worlds.values import Known
from tests.laws.two_worlds.worlds import TOKENS, Asked, Told, World, a_world

pytestmark = pytest.mark.mongo
EXAMPLES = int(os.environ.get("LAW_EXAMPLES", "1500"))
SEED = os.environ.get("REQUEST_SEED", "1")
REQUESTS = 25  # of one sequence
SEQUENCES = max(EXAMPLES // REQUESTS // len(ROLES), 1)
BROKEN = 0.5
SERVICE = (("GET", "/health"), ("GET", "/ready"))
SENT = [one for one in GENERATORS if one in IN_THE_APP and one not in SERVICE]
SEEN: Counter[tuple[bool, str, int]] = Counter()
SHOWN: Counter[str] = Counter()


class Broken(AssertionError):
    """An answer that no request may get, with what led to it."""


@dataclass
class Sequence:
    """One caller's requests: what was asked, and what is stored."""

    world: World
    role: str
    seed: str
    contents: Contents
    stored: dict[str, dict] = field(default_factory=dict)
    before: dict[str, dict] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def begin(self) -> None:
        await self.world.fill(self.contents)
        self.stored = {name: await self.world.rows(name) for name in (*COLLECTIONS, VERSIONS)}

    async def ask(self, number: int, known: Known) -> None:
        rnd = Random(f"{self.seed}/{number}")
        route = rnd.choice(SENT)
        asked = GENERATORS[route](rnd, known, route)
        sent, is_broken = as_sent(asked, TOKENS[self.role]), rnd.random() < BROKEN
        if is_broken:
            sent = broken(rnd, sent)
        self.asked.append(str(sent))
        client = self.world.client
        try:
            request = client.build_request(sent.method, sent.target, headers=sent.headers, content=sent.content())
            answer = await client.send(request)
        except Exception as error:
            raise Broken(self.story(f"no answer: {error!r}")) from error
        told = Told(answer.status_code, tuple(answer.headers.items()), answer.content)
        await self.look(sent.method)
        self.require(told, [value for pair in answer.headers.raw for value in pair], has_body=sent.method != "HEAD")
        self.require_seen(sent.target, asked, told)
        SEEN[is_broken, sent.method, told.status] += 1
        if not is_broken:
            learn(known, asked, (told, told))

    async def look(self, method: str) -> None:
        """The database as it is now, past the gateway."""
        self.before = self.stored
        if method not in ("GET", "HEAD"):
            self.stored = {name: await self.world.rows(name) for name in (*COLLECTIONS, VERSIONS)}

    def story(self, told: object) -> str:
        return "\n".join([f"REQUEST_SEED={SEED}, {self.seed}", *self.asked[-6:], "was answered", str(told)[:3000]])

    def require(self, told: Told, headers: list[bytes], *, has_body: bool) -> None:
        """What holds of every answer whatever was asked."""
        if told.status >= 500 and told.status != 501:
            raise Broken(self.story(told))
        marks = [one for part in (told.body, *headers) for one in marks_in(part)]
        if marks:
            raise Broken(self.story((marks, told)))
        if told.status >= 400 and has_body:
            error = told.json()
            fits = isinstance(error, dict) and isinstance(error.get("error"), dict | str)
            if not fits or not (_is_of_door(error, told.status) or _is_error(error["error"], told.status)):
                raise Broken(self.story(("not the shape of an error", told)))

    def require_seen(self, target: str, asked: Asked, told: Told) -> None:
        """What is shown is within the oracle's rows, and so is every number and every row that is gone."""
        name = target.partition("?")[0].strip("/").partition("/")[0]
        if name == "app":
            self.require_untouched(told)  # the canaries tell of what is shown: a projection cuts it at will
        if "namespaces" in asked.route[1]:
            self.require_of_namespaces(target, told)
        if asked.route[1].startswith(("/v1/collections", "/v1/documents")):
            self.require_of_collections(told)
        if name not in COLLECTIONS:
            return
        for shown in _documents(asked, told.json() if told.status < 400 else None):
            SHOWN[name] += 1
            if not self.is_right(name, shown, target, told):
                raise Broken(self.story(("shows what it must not", shown, told)))
        # What an undo says to have restored is there only now.
        rows = self.stored if asked.route[1].endswith("/undo") else self.before
        visible = [one for one, row in rows[name].items() if sees_now(self.role, name, row)]
        if _counted(asked, told) > len(visible):
            raise Broken(self.story(("counts what it must not", told)))
        self.require_untouched(told)

    def require_of_namespaces(self, target: str, told: Told) -> None:
        """The same of a door that tells documents and numbers in words of its own."""
        self.require_untouched(told)
        name = target.partition("?")[0].removeprefix("/v1").split("/")[2:3]
        body = told.json() if told.status < 400 else None
        if not isinstance(body, dict) or not name or name[0] not in COLLECTIONS:
            return
        for one in [*body.get("documents", ()), *body.get("items", ())]:
            shown = {"_id": one["id"], **one["metadata"]} | ({} if one["text"] is None else {"text": one["text"]})
            SHOWN[name[0]] += 1
            if not self.is_right(name[0], shown, target, told):
                raise Broken(self.story(("shows what it must not", shown, told)))
        visible = [one for one, row in self.stored[name[0]].items() if sees_now(self.role, name[0], row)]
        if (body.get("remaining_items") or 0) > len(visible):
            raise Broken(self.story(("counts what it must not", told)))

    def require_of_collections(self, told: Told) -> None:
        """The same of the door that tells of each document where it is."""
        self.require_untouched(told)
        body = told.json() if told.status < 400 else None
        if not isinstance(body, dict):
            return
        listed = body.get("documents", body.get("results", [body]))
        for one in listed if isinstance(listed, list) else ():
            name = one.get("collection_id")
            if name in COLLECTIONS:
                rest = {key: one[key] for key in one if key not in ("document_id", "collection_id", "document_blobs")}
                SHOWN[name] += 1
                if not self.is_right(name, {"_id": one["document_id"], **rest}, "", told):
                    raise Broken(self.story(("shows what it must not", one, told)))

    def require_untouched(self, told: Told) -> None:
        """No row that the caller does not see has changed."""
        for other in COLLECTIONS:
            for one, row in self.before[other].items():
                touched = repr(self.stored[other].get(one)) != repr(row)
                if touched and not sees_now(self.role, other, row):
                    raise Broken(self.story(("changed what is hidden", one, told)))

    def is_right(self, name: str, shown: dict, target: str, told: Told) -> bool:
        """By the row as it is now; of deleted documents, the past and replays by a state that is kept."""
        if set(shown) == {"_id"} and told.status == 201:
            return True
        rows = list(self.stored[name].values())
        path, _, query = target.partition("?")
        is_old = path.endswith("/deleted") or "/versions/" in path or "_as_of" in dict(parse_qsl(query))
        is_old = is_old or ("idempotency-replayed", "true") in told.headers
        if is_old and name == "staff":
            rows += [one["data"] for one in self.stored[VERSIONS].values()]
        return any(str(row["_id"]) == shown["_id"] and is_shown_rightly(self.role, name, shown, row) for row in rows)


def _is_of_door(error: dict, status: int) -> bool:
    """The error of another API's callers."""
    if error.get("success") is False:
        whole = {**error["error"]}
        return error["status"] == status and isinstance(whole.pop("type"), str) and _is_error(whole, status)
    kinds = {"error", "error_code"}, {"error", "message"}
    return any(set(error) - {"details"} == kind and all(isinstance(error[one], str) for one in kind) for kind in kinds)


def _is_error(error: dict, status: int) -> bool:
    told = (
        isinstance(error, dict)
        and isinstance(error.get("message"), str)
        and set(error) <= {"code", "message", "details"}
    )
    return told and STATUS.get(error.get("code", "")) == status


def _counted(asked: Asked, told: Told) -> int:
    """How many documents an answer says there are: counted, listed, deleted, or too many to delete; 0 where it says none."""
    answer = told.json()
    if not isinstance(answer, dict) or asked.route == ("POST", "/{collection}/batch"):
        return 0
    places = (
        (answer, "deleted"),
        (answer, "matched"),
        (answer, "modified"),
        (answer, "restored"),
        (answer.get("data"), "count"),
        (answer.get("pagination"), "total"),
        (answer.get("error", {}).get("details"), "matched_at_least"),
    )
    found = [place[name] for place, name in places if isinstance(place, dict) and isinstance(place.get(name), int)]
    return max(found, default=0)


def _documents(asked: Asked, answer: object) -> list[dict]:
    """The documents of an answer, wherever its route has them; what a pipeline makes is none."""
    if not isinstance(answer, dict) or asked.route[1].endswith("/aggregate"):
        return []
    for key in ("data", "documents"):
        if isinstance(answer.get(key), list):
            return answer[key]
    return [answer] if "_id" in answer else []


@pytest.fixture(scope="module")
def run():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def world(mongo_uri, run, tmp_path_factory):
    stack = AsyncExitStack()
    config = a_config(tmp_path_factory.mktemp("requests"), CONFIG.format(secret=SECRET), SCHEMA, POLICY)
    yield run.run(stack.enter_async_context(a_world(mongo_uri, config)))
    run.run(stack.aclose())


@pytest.mark.parametrize("role", ROLES)
def test_t8_t11_t17_t18_t20_no_request_shows_a_canary_or_makes_a_fault(world, run, caplog, role):
    async def ask_all() -> None:
        for n in range(SEQUENCES):
            seed = f"{SEED}/{role}/{n}"
            sequence = Sequence(world, role, seed, contents_with_canaries(role, Random(seed).randrange(10**6)))
            await sequence.begin()
            known = Known(role)
            for number in range(REQUESTS):
                await sequence.ask(number, known)

    run.run(ask_all())
    assert marks_in(caplog.text.encode()) == []


def test_canaries_are_found_plain_and_coded():
    for raw in (
        b"x CANARY 1",
        b'"salary":75319024680001',
        b"2199-07-03T00:00:00Z",
        b'"ZZ' + b"eyJ4IjoiQ0FOQVJZIDEyMyJ9" + b'"',
    ):
        assert marks_in(raw), raw
    for before in ("", "x", "xy"):
        cursor = CursorKey(b"secret").seal([before, "CANARY 1", "s00"], ("staff",), 0)
        assert marks_in(b'{"pagination":{"cursor":"%s"}}' % cursor.encode())
    assert marks_in(json.dumps({"note": "hush", "at": "2026-01-31"}).encode()) == []


def test_the_law_was_not_empty():
    """Broken requests and right ones were answered in every way, and documents were shown."""
    if sum(SEEN.values()) < 1000:
        pytest.skip("needs the sequences above, and a thousand requests")
    for is_broken in (False, True):
        told: Counter[int] = Counter()
        for (kind, _, status), n in SEEN.items():
            if kind == is_broken:
                told[status] += n
        print(f"{'broken' if is_broken else 'right'}: {dict(sorted(told.items()))}")
        assert {200, 400, 403, 404} <= set(told)
    print(f"{sum(SEEN.values())} requests, documents shown {dict(SHOWN)}")
    assert {401, 405, 415} <= {status for kind, _, status in SEEN if kind}
    assert set(SHOWN) == set(COLLECTIONS)
