"""The gateway is told to end under load: whoever asked is answered, and then it is gone."""

import signal
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import pytest

from tests.wire.server import BOSS, HOST, Answer, Served, answers_in, one_answer, rest_of, serving

pytestmark = pytest.mark.mongo
READ = f"GET /notes?_limit=5 HTTP/1.1\r\nHost: gateway\r\n{BOSS}\r\n\r\n".encode()
READY = b"GET /ready HTTP/1.1\r\n" + HOST + b"\r\n"
CALLERS = 8


@dataclass
class Load:
    """Callers who ask without a pause until they are told to go or find nobody. `lost` are requests without an answer."""

    served: Served
    told_at: float = float("inf")
    answered: Counter = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    last: list[Answer] = field(default_factory=list)

    def stay(self, request: bytes) -> None:
        """Request after request on one connection."""
        with self.served.connect() as connection:
            while True:
                try:
                    connection.sendall(request)
                    answer = one_answer(connection)
                except (OSError, AssertionError) as error:
                    self.lost.append(f"kept connection: {error!r}")
                    return
                self.answered[answer.status] += 1
                if answer.headers.get("connection") == "close":
                    self.last.append(answer)
                    return

    def come_again(self) -> None:
        """Each request on a connection of its own; who connected before the gateway was told to end is answered."""
        while True:
            at = float("inf")
            try:
                with self.served.connect() as connection:
                    at = time.monotonic()
                    self._ask(connection)
            except (OSError, AssertionError, ValueError) as error:  # the last two: not the one whole answer
                if at < self.told_at - 0.2:
                    self.lost.append(f"new connection: {error!r}")
                return

    def _ask(self, connection: socket.socket) -> None:
        connection.sendall(READ.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        (answer,) = answers_in(rest_of(connection))
        self.answered[answer.status] += 1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_f10_under_load_every_request_is_answered_and_it_ends_in_time(mongo_uri, tmp_path, workers):
    with serving(tmp_path, mongo_uri, "--workers", workers, header_timeout="5s", keep_alive_timeout="5s") as served:
        load = Load(served)
        threads = [threading.Thread(target=load.stay, args=(READ,)) for _ in range(CALLERS)]
        threads += [threading.Thread(target=load.stay, args=(READY,))]
        threads += [threading.Thread(target=load.come_again) for _ in range(2)]
        with served.connect() as idle, served.connect() as half:
            half.sendall(READY[:10])
            for one in threads:
                one.start()
            time.sleep(0.7)
            load.told_at = time.monotonic()
            served.process.send_signal(signal.SIGTERM)
            assert served.process.wait(20) == 0
            took = time.monotonic() - load.told_at
            assert rest_of(idle) == b""
            assert [one.status for one in answers_in(rest_of(half))] == [503]
        for one in threads:
            one.join(20)
        assert load.lost == []
        assert len(load.last) == CALLERS + 1
        assert load.answered[200] > CALLERS
        assert [one.body for one in load.last if one.status != 200] == [b'{"status":"ending"}']
        assert set(load.answered) == {200, 503}
        assert took < 10
        with pytest.raises(ConnectionRefusedError):
            served.connect()
    assert "Traceback" not in served.log.read_text()
