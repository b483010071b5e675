"""Callers of every kind, who ask until they are told to stop, and note what is told to them."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from urllib.parse import quote

from tests.faults.processes import GatewayProcess
from tests.http.harness import a_token

# What may be answered while servers change their places, are away, or others write the same documents.
PASSING = frozenset({409, 429, 503, 504})
_PACE = 0.06  # seconds between two requests of a caller, about
Asking = tuple[str, str, dict | None]
Kind = Callable[["Mixed"], tuple[Asking, frozenset[int]]]
FINE, MADE = frozenset({200}), frozenset({201})
MAYBE = frozenset({200, 404})


@dataclass
class Notes:
    """What all callers of a run were told."""

    statuses: Counter[str] = field(default_factory=Counter)
    unexpected: Counter[str] = field(default_factory=Counter)
    latencies: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=50_000)))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, kind: str, status: int | None, seconds: float, expected: frozenset[int], about: str = "") -> None:
        with self.lock:
            self.statuses[str(status)] += 1
            self.latencies[kind].append(seconds)
            if status is not None and status not in expected | PASSING:
                self.unexpected[f"{kind}: {status} {about}"] += 1


class Mixed(threading.Thread):
    """One caller of all routes, in one collection with the others. `gateway` may be replaced by a later process."""

    def __init__(self, gateway: GatewayProcess, notes: Notes, seed: int, stopping: threading.Event) -> None:
        super().__init__(name=f"mixed-{seed}")
        self.random = Random(seed)
        self.ids: deque[str] = deque(maxlen=200)
        self.batches: deque[str] = deque(maxlen=20)
        self.n = 0
        self._gateway, self._notes, self._stopping, self._seed = gateway, notes, stopping, seed
        self._headers = {"authorization": f"Bearer {a_token(f'mixed-{seed}', ['boss'])}"}
        self._connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)

    def run(self) -> None:
        kinds = [kind for kind, weight in KINDS.items() for _ in range(weight)]
        while not self._stopping.is_set():
            kind = self.random.choice(kinds)
            self.n += 1
            asking, expected = kind(self)
            self.ask(kind.__name__.strip("_"), asking, expected)
            time.sleep(_PACE * 2 * self.random.random())
        self._connection.close()

    def ask(self, kind: str, asking: Asking, expected: frozenset[int]) -> None:
        began = time.monotonic()
        status, told = self._answer(*asking)
        about = "" if status is None or status in expected else str(told.get("error", {}).get("message", ""))[:80]
        self._notes.add(kind, status, time.monotonic() - began, expected, about)
        if status in (200, 201) and "batch" in told:
            self.batches.append(told["batch"])

    def _answer(self, method: str, path: str, body: dict | None) -> tuple[int | None, dict]:
        headers = dict(self._headers)
        if kind_of(path) == "async":
            headers["prefer"] = "respond-async"
        try:
            self._connection.request(method, path, None if body is None else json.dumps(body), headers | _JSON)
            answer = self._connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else {}
        except (OSError, http.client.HTTPException, ValueError):
            self._connection.close()
            return None, {}

    def new(self) -> str:
        self.ids.append(f"m{self._seed}-{self.n}")
        return self.ids[-1]

    def some(self) -> str:
        return self.random.choice(self.ids) if self.ids else "nothing"

    def few(self) -> list[str]:
        return list(dict.fromkeys(self.some() for _ in range(8)))


_JSON = {"content-type": "application/json"}


def kind_of(path: str) -> str:
    return "async" if path.endswith("#async") else ""


def _create(one: Mixed) -> tuple[Asking, frozenset[int]]:
    body = {"_id": one.new(), "title": f"t{one.n % 50}", "age": one.n % 90, "tags": ["a", "b"], "ssn": "x" * 200}
    return ("POST", "/things", body), MADE


def _create_many(one: Mixed) -> tuple[Asking, frozenset[int]]:
    documents = []
    for _ in range(10):
        one.n += 1
        documents.append({"_id": one.new(), "title": f"t{one.n % 50}", "age": 1})
    return ("POST", "/things/batch", {"documents": documents}), MADE


def _get(one: Mixed) -> tuple[Asking, frozenset[int]]:
    return ("GET", f"/things/{one.some()}", None), MAYBE


def _get_many(one: Mixed) -> tuple[Asking, frozenset[int]]:
    return ("POST", "/things/batch/get", {"ids": one.few()}), frozenset({200, 207})


def _list(one: Mixed) -> tuple[Asking, frozenset[int]]:
    return ("GET", one.random.choice(["/things", "/things?_limit=50", "/things?_sort=-age&_limit=20"]), None), FINE


def _query(one: Mixed) -> tuple[Asking, frozenset[int]]:
    return ("POST", "/things/query", {"filter": {"age": {"$gte": one.random.randrange(90)}}, "limit": 20}), FINE


def _count(one: Mixed) -> tuple[Asking, frozenset[int]]:
    return ("POST", "/things/count", {"filter": {"title": f"t{one.n % 50}"}}), FINE


def _aggregate(one: Mixed) -> tuple[Asking, frozenset[int]]:
    grouped = {"$group": {"_id": "$status", "n": {"$sum": 1}, "age": {"$avg": "$age"}}}
    return ("POST", "/things/aggregate", {"pipeline": [{"$match": {"age": {"$lt": 50}}}, grouped]}), FINE


def _patch(one: Mixed) -> tuple[Asking, frozenset[int]]:
    return ("PATCH", f"/things/{one.some()}", {"title": f"t{one.n % 50}", "age": one.n % 90}), MAYBE


def _put(one: Mixed) -> tuple[Asking, frozenset[int]]:
    return ("PUT", f"/things/{one.some()}", {"title": f"t{one.n % 50}"}), MAYBE


def _delete(one: Mixed) -> tuple[Asking, frozenset[int]]:
    return ("DELETE", f"/things/{one.some()}", None), MAYBE


def _update_many(one: Mixed) -> tuple[Asking, frozenset[int]]:
    return ("PUT", "/things/batch", {"ids": one.few(), "update": {"$inc": {"age": 1}}}), frozenset({200, 207, 404})


def _delete_many(one: Mixed) -> tuple[Asking, frozenset[int]]:
    return ("POST", "/things/batch/delete", {"ids": one.few()}), frozenset({200, 207, 404})


def _delete_old(one: Mixed) -> tuple[Asking, frozenset[int]]:
    """So that the collection does not grow without end; by filter, and so a job once it is much."""
    return ("DELETE", "/things/batch", {"filter": {"title": f"t{one.random.randrange(50)}"}}), frozenset(
        {200, 202, 207}
    )


def _undo(one: Mixed) -> tuple[Asking, frozenset[int]]:
    batch = one.random.choice(one.batches) if one.batches else "0" * 32
    return ("POST", f"/things/batch/{batch}/undo", {}), frozenset({200, 207, 404})


def _versions(one: Mixed) -> tuple[Asking, frozenset[int]]:
    return ("GET", f"/things/{one.some()}/versions", None), MAYBE


def _version(one: Mixed) -> tuple[Asking, frozenset[int]]:
    return ("GET", f"/things/{one.some()}/versions/1", None), MAYBE


def _compare(one: Mixed) -> tuple[Asking, frozenset[int]]:
    return ("GET", f"/things/{one.some()}/diff/1/2", None), MAYBE


def _restore(one: Mixed) -> tuple[Asking, frozenset[int]]:
    return ("POST", f"/things/{one.some()}/restore/1", {}), frozenset({200, 404, 409})


def _as_of(one: Mixed) -> tuple[Asking, frozenset[int]]:
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - one.random.randrange(1, 60)))
    path = one.random.choice([f"/things/{one.some()}", "/things"])
    return ("GET", f"{path}?_as_of={quote(moment)}", None), frozenset({200, 400, 404})


def _deleted(one: Mixed) -> tuple[Asking, frozenset[int]]:
    return ("GET", "/things/deleted?_limit=20", None), FINE


def _of_the_service(one: Mixed) -> tuple[Asking, frozenset[int]]:
    return ("GET", one.random.choice(["/_pm/me", "/_pm/jobs", "/health", "/ready", "/metrics"]), None), FINE


def _refused(one: Mixed) -> tuple[Asking, frozenset[int]]:
    asked: list[Asking] = [
        ("GET", "/nothing", None),
        ("POST", "/things/query", {"filter": {"$where": "1"}}),
        ("GET", "/things?_sort=nothing", None),
        ("POST", "/things", {"title": 5}),
        ("PATCH", "/things/x", {"tenant_id": "evil"}),
        ("POST", "/things/aggregate", {"pipeline": [{"$out": "x"}]}),
        ("GET", "/things?" + "&".join(f"p{n}=1" for n in range(20)), None),
    ]
    return one.random.choice(asked), frozenset({400, 403, 404, 422})


KINDS: dict[Kind, int] = {
    _create: 6, _create_many: 2, _get: 10, _get_many: 2, _list: 5, _query: 3, _count: 2, _aggregate: 2, _patch: 5,
    _put: 2, _delete: 2, _update_many: 2, _delete_many: 1, _delete_old: 2, _undo: 1, _versions: 2, _version: 1,
    _compare: 1, _restore: 1, _as_of: 2, _deleted: 1, _of_the_service: 2, _refused: 5,
}  # fmt: skip


class Slow(threading.Thread):
    """Sends half a head, or half a body, and leaves in the midst, or waits until the gateway has had enough."""

    def __init__(self, gateway: GatewayProcess, seed: int, stopping: threading.Event) -> None:
        super().__init__(name=f"slow-{seed}")
        self._gateway, self._random, self._stopping = gateway, Random(seed), stopping

    def run(self) -> None:
        while not self._stopping.is_set():
            with suppress(OSError), socket.create_connection(("127.0.0.1", self._gateway.port), 5) as sent:
                sent.settimeout(3)
                token = a_token("slow", ["boss"])
                head = f"POST /things HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
                whole = f"{head}Content-Length: 400\r\n\r\n{{".encode()
                sent.sendall(whole[: self._random.randrange(1, len(whole))])
                if self._random.random() < 0.5:
                    sent.recv(100)
            self._stopping.wait(0.2)
