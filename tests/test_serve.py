"""`permission-mongo serve` as its own process: what it prints, how it ends, what it leaves behind."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

pytestmark = pytest.mark.mongo
CONFIG = Path(__file__).parent.parent / "config"
PATIENCE = 30


def children_of(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


def lives(pid: int) -> bool:
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def wait_for(claim, what: str):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with suppress(OSError):
            found = claim()
            if found:
                return found
        time.sleep(0.05)
    raise AssertionError(f"waited in vain: {what}")


def status(address: str, path: str) -> int:
    try:
        with urllib.request.urlopen(address + path, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@contextmanager
def serving(folder: Path, *options: str, **environment: str):
    """A gateway process and its address, once it serves."""
    command = [sys.executable, "-m", "permission_mongo", "serve", "--config", str(CONFIG), "--port", "0", *options]
    kept = {name: value for name, value in os.environ.items() if name not in ("MONGODB_URI", "SERVER_PORT")}
    with (folder / "printed").open("w") as printed:
        process = subprocess.Popen(command, cwd=folder, stdout=printed, stderr=printed, env={**kept, **environment})
    try:
        address = wait_for(lambda: re.search(r"http://[0-9.:]+", (folder / "printed").read_text()), "the address")[0]
        wait_for(lambda: status(address, "/ready") == 200, "readiness")
        yield process, address
    finally:
        family = [process.pid, *children_of(process.pid)]
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        for pid in family:
            if lives(pid):
                os.kill(pid, signal.SIGKILL)


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "permission_mongo", *arguments]
    kept = {name: value for name, value in os.environ.items() if name != "MONGODB_URI"}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, env={**kept, **environment}
    )


def test_it_says_what_is_served_by_which_engine_where_the_data_is_and_what_to_try(tmp_path):
    with serving(tmp_path) as (process, address):
        printed = (tmp_path / "printed").read_text()
        assert "serving  documents, users, orders" in printed
        assert "embedded, for evaluation" in printed
        assert str(tmp_path / ".permission-mongo") in printed
        token = run(
            tmp_path, "token", "--config", str(CONFIG), "--sub", "ada", "--roles", "admin", "--tenant", "acme"
        ).stdout.strip()
        asked = urllib.request.Request(address + "/documents", headers={"authorization": f"Bearer {token}"})
        with urllib.request.urlopen(asked, timeout=5) as answer:
            assert json.load(answer) == {"data": [], "pagination": {"cursor": None, "has_more": False}}
        family = children_of(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert family
        assert not (tmp_path / ".permission-mongo" / "mongod-data" / "mongod.lock").read_text().strip(), "ended cleanly"
        wait_for(lambda: not any(lives(pid) for pid in family), "the embedded server to end with the gateway")


def test_f10_an_interrupt_ends_it_like_a_termination(tmp_path):
    with serving(tmp_path) as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert "Traceback" not in (tmp_path / "printed").read_text()


def test_f13_a_killed_embedded_server_comes_back_with_its_data(tmp_path):
    with serving(tmp_path) as (process, address):
        server = next(pid for pid in children_of(process.pid) if "mongod" in Path(f"/proc/{pid}/comm").read_text())
        os.kill(server, signal.SIGKILL)
        wait_for(lambda: not lives(server), "the end of the server")
        wait_for(lambda: status(address, "/ready") == 200, "readiness again")
        assert server not in children_of(process.pid)


def test_workers_share_the_port_and_none_outlives_its_parent(tmp_path, mongo_uri):
    with serving(tmp_path, "--workers", "2", "--config", "config", MONGODB_URI=mongo_uri, **secret(tmp_path)) as (
        process,
        address,
    ):
        workers = wait_for(
            lambda: [pid for pid in children_of(process.pid) if "spawn_main" in command_of(pid)], "workers"
        )
        assert len(workers) == 2
        assert status(address, "/health") == 200
        process.kill()
        wait_for(lambda: not any(lives(pid) for pid in workers), "the workers to end with their parent")


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def secret(folder: Path) -> dict[str, str]:
    """A configuration for a MongoDB that is not embedded needs a secret of its own."""
    (folder / "config").mkdir()
    for name in ("schema.yml", "policy.yml"):
        (folder / "config" / name).write_text((CONFIG / name).read_text())
    text = (CONFIG / "config.yaml").read_text().replace("# secret: ${ENV.AUTH_SECRET}", "secret: ${ENV.AUTH_SECRET}")
    (folder / "config" / "config.yaml").write_text(text.replace("database: company", f"database: serve_{os.getpid()}"))
    return {"AUTH_SECRET": "0123456789abcdef0123456789abcdef"}


def test_a_taken_port_is_told_in_a_sentence(tmp_path):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        ended = run(tmp_path, "serve", "--config", str(CONFIG), "--port", str(holder.getsockname()[1]))
    assert ended.returncode == 3
    assert "can't listen" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_broken_configuration_serves_nothing(tmp_path):
    (tmp_path / "broken").mkdir()
    ended = run(tmp_path, "serve", "--config", "broken")
    assert ended.returncode == 1
    assert "not found" in ended.stderr
    assert not (tmp_path / ".permission-mongo").exists()


@pytest.mark.parametrize(
    ("options", "environment", "message"),
    [
        (["--mongod", "/nowhere/mongod"], {}, "mongod"),
        (["--workers", "0"], {}, "--workers"),
        (["--port", "70000"], {}, "--port"),
        ([], {"MONGODB_URI": "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=100"}, "auth.secret"),
    ],
)
def test_what_can_not_start_says_why_and_exits_with_3(tmp_path, options, environment, message):
    ended = run(tmp_path, "serve", "--config", str(CONFIG), *(options or ["--port", "0"]), **environment)
    assert ended.returncode == 3
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
