"""F15: a receiver that is away, and a gateway that is killed meanwhile, miss no event and mix none up."""

import http.server
import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException

import pytest

from permission_mongo.outgoing.signing import signature
from tests.faults.processes import GatewayProcess, a_gateway_process, write_config
from tests.faults.summaries import Summary, tell
from tests.receivers import SECRET

pytestmark = [pytest.mark.mongo, pytest.mark.faults]
AWAY = float(os.environ.get("PM_RECEIVER_AWAY", "4"))  # seconds
IDS = [f"n{n}" for n in range(6)]


@dataclass
class Told:
    """What a receiver took, in order; `unsigned` are the ids of calls without a true signature."""

    messages: list[dict] = field(default_factory=list)
    unsigned: list[str] = field(default_factory=list)

    def first_versions(self) -> dict[str, list[int]]:
        """By document, each event once, where it was first told."""
        seen: set[str] = set()
        found: dict[str, list[int]] = defaultdict(list)
        for one in list(self.messages):
            if one["id"] not in seen:
                seen.add(one["id"])
                found[one["document"]].append(one["version"])
        return found

    @property
    def repeated(self) -> int:
        return len(self.messages) - len({one["id"] for one in self.messages})


@contextmanager
def a_receiver(port: int, told: Told) -> Iterator[int]:
    class Taking(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            message, at = self.headers["webhook-id"], int(self.headers["webhook-timestamp"])
            if self.headers["webhook-signature"] != signature(SECRET.encode(), message, at, body):
                told.unsigned.append(message)
            told.messages.append(json.loads(body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Taking)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


class Writing(threading.Thread):
    """Updates of all documents in turn, for so many seconds or until the gateway is gone; `answered` are acknowledged."""

    def __init__(self, gateway: GatewayProcess, seconds: float) -> None:
        super().__init__()
        self._gateway, self._until = gateway, time.monotonic() + seconds
        self.answered = 0
        self.start()

    def run(self) -> None:
        while time.monotonic() < self._until:
            for one in IDS:
                try:
                    status, _ = self._gateway.ask("PATCH", f"/notes/{one}", {"age": time.monotonic_ns()})
                except (OSError, HTTPException, ValueError):
                    return
                # What was open in a gateway that was killed holds its row for a while.
                self.answered += status == 200
            time.sleep(AWAY / 40)


def until(holds, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.1)
    return bool(holds())


@dataclass
class Came:
    """What was told, what there was to tell (the versions by document), the writes answered, and how long it took."""

    told: Told
    versions: dict[str, list[int]]
    answered: int
    after: float

    @property
    def lost(self) -> int:
        found = self.told.first_versions()
        return sum(len(set(numbers) - set(found[one])) for one, numbers in self.versions.items())

    @property
    def mixed_up(self) -> int:
        return sum(numbers != sorted(numbers) for numbers in self.told.first_versions().values())


def schedule(tmp_path, mongo_uri, database, module: str = "permission_mongo", *, patience: float) -> Came:
    """The receiver takes the first events and goes; under further writes the gateway is killed (-9), and another one
    begins; more writes; the receiver comes back.
    """
    told, folder = Told(), tmp_path / "config"
    write_config(folder, database.name, more="hooks: {allow_addresses: [127.0.0.1]}\n")
    with ExitStack() as there:
        port = there.enter_context(a_receiver(0, told))
        hook = f"{{action: http, url: 'http://127.0.0.1:{port}/', secret: '{SECRET}', timeout: 2s}}"
        (folder / "hooks.yml").write_text(f"hooks: {{notes: {{post_create: [{hook}], post_update: [{hook}]}}}}")
        with a_gateway_process(folder, mongo_uri, module) as gateway:
            gateway.wait()
            documents = [{"_id": one, "title": one, "age": 0} for one in IDS]
            assert gateway.ask("POST", "/notes/batch", {"documents": documents})[0] == 201
            assert until(lambda: len(told.messages) == len(IDS), 20)
            there.close()
            first = killed_under_writes(gateway)
            assert len(told.messages) == len(IDS)
    with a_gateway_process(folder, mongo_uri, module) as gateway:
        gateway.wait()
        second = Writing(gateway, AWAY / 2)
        second.join()
        versions = {
            one["_id"]: list(range(1, one["_version"] + 1)) for one in database["notes"].find({}, {"_version": 1})
        }
        back = time.monotonic()
        with a_receiver(port, told):
            came = Came(told, versions, len(IDS) + first + second.answered, 0.0)
            until(lambda: not came.lost, patience)
            came.after = time.monotonic() - back
    return came


def killed_under_writes(gateway: GatewayProcess) -> int:
    """The writes that were answered before."""
    writing = Writing(gateway, AWAY)
    time.sleep(AWAY / 2)
    gateway.kill()
    writing.join()
    return writing.answered


def summary(what: str, came: Came) -> Summary:
    total = sum(map(len, came.versions.values()))
    notes = f"{total} events, away {AWAY:.0f} s, all told {came.after:.1f} s after, {came.told.repeated} told twice"
    return Summary("F15", what, 1, "kills", came.answered, came.lost, wrong=came.mixed_up, notes=notes)


def test_f15_a_receiver_that_was_away_is_told_everything_once_it_is_back(tmp_path, mongo_uri, database):
    """In the order of each document's versions, signed; what was not committed, of nobody."""
    came = schedule(tmp_path, mongo_uri, database, patience=AWAY * 3 + 60)
    tell(summary("a receiver away, a gateway killed", came))
    assert came.answered > len(IDS) * 3
    assert (came.lost, came.mixed_up, came.told.unsigned) == (0, 0, [])
    assert came.told.first_versions() == came.versions
    assert sum(map(len, came.versions.values())) >= came.answered


def test_f15_control_of_a_gateway_that_tells_by_itself(tmp_path, mongo_uri, database):
    """Without an outbox what waited in the gateway is gone with it."""
    came = schedule(tmp_path, mongo_uri, database, "tests.faults.forgetful", patience=3)
    tell(summary("control: told right after the write", came))
    assert came.lost > 0
