"""A gateway in a process of its own, and requests that may never be answered."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from permission_mongo.storage.mongod import _die_with_parent
from tests.forking import Forked
from tests.http.harness import CONFIG, POLICY, SCHEMA, a_token

ROOT = Path(__file__).parents[2]
# A child ends with the thread that started it, also when the tests are killed.
die_with_parent = _die_with_parent


def write_config(folder: Path, database: str, limits: str = "{}", more: str = "") -> Path:
    folder.mkdir()
    mongodb = f"mongodb: {{uri: '${{ENV.MONGODB_URI}}', database: {database}, min_pool_size: 0}}\n"
    (folder / "config.yaml").write_text(f"{CONFIG}{mongodb}limits: {limits}\n{more}")
    (folder / "schema.yml").write_text(SCHEMA)
    (folder / "policy.yml").write_text(POLICY)
    return folder


@dataclass
class GatewayProcess:
    child: Forked
    port: int

    def ask(
        self, method: str, path: str, body: dict | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict]:
        """Status and body. OSError or HTTPException if the gateway ends before it has answered."""
        return self.told(method, path, body, headers)[:2]

    def told(
        self, method: str, path: str, body: dict | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict, dict[str, str]]:
        """With the answer's headers, their names in small letters."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, self.text(body), {**self.headers(), **(headers or {})})
            answer = connection.getresponse()
            sent = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, json.loads(answer.read()), sent
        finally:
            connection.close()

    @staticmethod
    def text(body: dict | None) -> bytes | None:
        return None if body is None else json.dumps(body).encode()

    @staticmethod
    def headers() -> dict[str, str]:
        return {"authorization": f"Bearer {a_token()}", "content-type": "application/json"}

    def wait(self) -> None:
        """Until it takes connections: its address is told a moment before."""
        while True:
            try:
                self.ask("GET", "/health")
                return
            except ConnectionRefusedError:
                assert self.child.poll() is None, "the gateway ended"
                time.sleep(0.01)

    def kill(self) -> None:
        self.child.kill()
        self.child.wait(15)


class Asked:
    """A request on its way in a thread; `answer` stays None if none comes."""

    def __init__(
        self,
        gateway: GatewayProcess,
        body: dict,
        route: tuple[str, str] = ("DELETE", "/notes/batch"),
        headers: dict[str, str] | None = None,
    ) -> None:
        self.answer: tuple[int, dict] | None = None
        self.seconds = 0.0
        self._thread = threading.Thread(target=self._ask, args=(gateway, body, route, headers))
        self._thread.start()

    def _ask(self, gateway: GatewayProcess, body: dict, route: tuple[str, str], headers: dict[str, str] | None) -> None:
        began = time.monotonic()
        try:
            self.answer = gateway.ask(*route, body, headers)
        except (OSError, http.client.HTTPException, ValueError):
            self.answer = None
        self.seconds = time.monotonic() - began

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def end(self) -> tuple[int, dict] | None:
        self._thread.join(60)
        return self.answer


@contextmanager
def a_gateway_process(
    folder: Path, mongo_uri: str, module: str = "permission_mongo", port: int = 0
) -> Iterator[GatewayProcess]:
    words = ["serve", "--config", str(folder), "--port", str(port)]
    surroundings = {**os.environ, "MONGODB_URI": mongo_uri}
    with (
        (folder / "stderr").open("ab") as stderr,
        Forked(module, words, cwd=ROOT, env=surroundings, stdout=subprocess.PIPE, stderr=stderr) as child,
    ):
        try:
            gateway = GatewayProcess(child, _port_told(child, folder))
            gateway.wait()
            yield gateway
        finally:
            child.kill()
            child.wait(15)


def _port_told(child: Forked, folder: Path) -> int:
    assert child.stdout is not None
    for line in child.stdout:
        if line.split()[:1] == ["at"]:
            return int(line.rstrip().rpartition(":")[2])
    raise AssertionError(f"the gateway did not start: {(folder / 'stderr').read_text()}")


@contextmanager
def a_child(module: str, *arguments: object) -> Iterator[subprocess.Popen]:
    """`python -m tests.faults.MODULE ARGUMENTS`, with pipes to speak through."""
    command = [sys.executable, "-m", f"tests.faults.{module}", *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True, bufsize=1, preexec_fn=die_with_parent()
    ) as child:
        try:
            yield child
        finally:
            child.kill()
            child.wait(15)
