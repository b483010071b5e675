"""A gateway as its own process, and bytes as they come and go over its socket."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.forking import Forked
from tests.http.harness import CONFIG as _CONFIG
from tests.http.harness import POLICY, SCHEMA, SECRET, a_token

# Deadlines short enough to wait for. 600: below it 500 slow connections are let in, and the bound is cheap to reach.
BOUNDS = {
    "header_timeout": "800ms",
    "body_timeout": "1s",
    "write_timeout": "1s",
    "keep_alive_timeout": "800ms",
    "max_connections": 600,
}
PATIENCE = 20.0
HOST = b"Host: gateway\r\n"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return json.loads(self.body)["error"]["code"]


@dataclass
class Served:
    """A process, where it listens, and what it wrote to its log."""

    process: Forked
    port: int
    log: Path
    database: str

    def connect(self, timeout: float = PATIENCE, **options: int) -> socket.socket:
        found = socket.socket()
        for name, value in options.items():
            found.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
        found.settimeout(timeout)
        found.connect(("127.0.0.1", self.port))
        return found

    def say(self, *parts: bytes, timeout: float = PATIENCE) -> bytes:
        """Everything that is answered until the connection is closed, which has to happen."""
        with self.connect(timeout) as connection:
            for part in parts:
                with suppress(BrokenPipeError, ConnectionResetError):
                    connection.sendall(part)
            return rest_of(connection)

    def ask(self, method: str, path: str, body: bytes = b"", *headers: str) -> Answer:
        """One whole request on a connection of its own."""
        lines = [f"{method} {path} HTTP/1.1", "Host: gateway", "Connection: close", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return answers_in(self.say("\r\n".join([*lines, "", ""]).encode() + body))[0]

    def as_boss(self, method: str, path: str, body: bytes = b"", *headers: str) -> Answer:
        return self.ask(method, path, body, BOSS, *headers)

    def counted(self, metric: str) -> float:
        text = self.ask("GET", "/metrics").body.decode()
        found = re.search(rf"^{re.escape(metric)} ([0-9.e+]+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0


BOSS = f"Authorization: Bearer {a_token('boss', ('boss',))}"


def rest_of(connection: socket.socket) -> bytes:
    """Until the other side closes. A reset is one too, with what came before it."""
    found = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            found += part
    return found


def one_answer(connection: socket.socket) -> Answer:
    """The next answer of a connection that stays open."""
    found = b""
    while True:
        part = connection.recv(65536)
        assert part, found
        found += part
        with suppress(AssertionError):
            (answer,) = answers_in(found)
            return answer


def answers_in(sent: bytes) -> list[Answer]:
    """Whole answers with a Content-Length, one behind the other; an AssertionError for anything else."""
    found = []
    while sent:
        head, closed, rest = sent.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        assert closed, sent
        assert re.fullmatch(r"HTTP/1\.1 \d{3} .*", first), first
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = int(headers.get("content-length", "0"))
        assert len(rest) >= length, sent
        found.append(Answer(int(first.split()[1]), headers, rest[:length]))
        sent = rest[length:]
    return found


def write_config(folder: Path, database: str, more: str = "", **bounds: object) -> None:
    server = "".join(f"  {name}: {value}\n" for name, value in {**BOUNDS, **bounds}.items())
    config = f"{_CONFIG}server:\n{server}mongodb: {{database: {database}, min_pool_size: 0}}\n{more}"
    for name, text in (("config.yaml", config), ("schema.yml", SCHEMA), ("policy.yml", POLICY)):
        (folder / name).write_text(text)


@contextmanager
def serving(folder: Path, uri: str, *options: str, more: str = "", **bounds: object) -> Iterator[Served]:
    """A gateway on a free port, once it is ready; it is ended afterwards, if it still lives. `more` is configuration."""
    name = f"wire_{os.getpid()}_{time.monotonic_ns() % 10**9}"
    write_config(folder, name, more, **bounds)
    words = ["serve", "--config", str(folder), "--port", "0", *options]
    environment = {name: value for name, value in os.environ.items() if name != "SERVER_PORT"}
    log = folder / "log"
    with log.open("w") as printed:
        environment["MONGODB_URI"] = uri
        process = Forked("permission_mongo", words, cwd=folder, env=environment, stdout=printed, stderr=printed)
    try:
        yield _once_ready(Served(process, 0, log, name))
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _once_ready(served: Served) -> Served:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert served.process.poll() is None, served.log.read_text()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", served.log.read_text())
        with suppress(OSError, AssertionError, IndexError):
            if found:
                served.port = int(found[1])
                if served.ask("GET", "/ready").status == 200:
                    return served
        time.sleep(0.05)
    raise AssertionError(served.log.read_text())


__all__ = ["BOSS", "BOUNDS", "HOST", "SECRET", "Answer", "Served", "answers_in", "one_answer", "rest_of", "serving"]
