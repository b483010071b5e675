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


# -- reload, of whole processes


def asked(address: str, path: str) -> tuple[int, dict]:
    """Each time by a connection of its own: any worker may answer."""
    try:
        with urllib.request.urlopen(address + path, timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def documents(address: str, token: str) -> int:
    """The status of a list."""
    request = urllib.request.Request(address + "/documents", headers={"authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def shut(folder: Path) -> None:
    """No rule is left for the role that reads documents."""
    policy = folder / "config" / "policy.yml"
    text = policy.read_text()
    begun = text.index("policies:")
    (folder / "next").write_text(text[:begun] + "policies: {}\n")
    (folder / "next").replace(policy)


def of_alice(folder: Path, **environment: str) -> str:
    options = (
        "--config",
        "config",
        "--sub",
        "alice",
        "--roles",
        "admin",
        "--tenant",
        "acme",
        "--claim",
        "jti=of-alice",
    )
    return run(folder, "token", *options, **environment).stdout.strip()


def test_f9_four_workers_take_an_edit_within_two_seconds_and_none_a_broken_one(tmp_path, mongo_uri):
    environment = {"MONGODB_URI": mongo_uri, **secret(tmp_path)}
    with serving(tmp_path, "--workers", "4", "--config", "config", **environment) as (process, address):
        wait_for(lambda: len(workers_of(process)) == 4, "workers")
        token = of_alice(tmp_path, **environment)
        policy = tmp_path / "config" / "policy.yml"
        good = policy.read_text()
        before = asked(address, "/ready")[1]["policy"]
        assert [documents(address, token) for _ in range(8)] == [200] * 8

        policy.write_text(good + "\nrules: {}\n")
        wait_for(lambda: asked(address, "/ready")[1]["checks"]["policy"] == "stale", "staleness")
        assert {asked(address, "/ready")[0] for _ in range(8)} == {200}, "an earlier configuration serves"
        assert [documents(address, token) for _ in range(8)] == [200] * 8
        os.kill(process.pid, signal.SIGHUP)
        begun = set(workers_of(process))
        time.sleep(1.5)
        assert set(workers_of(process)) == begun, "a broken one restarts nobody"
        assert "policy.yml:" in (tmp_path / "printed").read_text()

        shut_at = time.monotonic()
        shut(tmp_path)
        wait_for(lambda: [documents(address, token) for _ in range(12)] == [403] * 12, "all workers to refuse")
        assert time.monotonic() - shut_at < 10.0  # of two of them and what the requests take
        wait_for(lambda: asked(address, "/ready")[1]["checks"]["policy"] == "ok", "agreement")
        assert {asked(address, "/ready")[1]["policy"] for _ in range(8)}.isdisjoint({before})


def workers_of(process: subprocess.Popen) -> list[int]:
    return [pid for pid in children_of(process.pid) if "spawn_main" in command_of(pid)]


def test_a_sighup_restarts_the_workers_one_after_the_other_with_what_the_files_say(tmp_path, mongo_uri):
    environment = {"MONGODB_URI": mongo_uri, **secret(tmp_path)}
    with serving(tmp_path, "--workers", "2", "--config", "config", **environment) as (process, address):
        before = wait_for(lambda: len(found := workers_of(process)) == 2 and set(found), "workers")
        os.kill(process.pid, signal.SIGHUP)
        served = []
        wait_for(
            lambda: served.append(status(address, "/health")) or before.isdisjoint(workers_of(process)), "new workers"
        )
        assert set(served) == {200}, "meanwhile somebody serves"
        wait_for(lambda: asked(address, "/ready")[1]["checks"]["policy"] == "ok", "agreement")


def test_a_worker_that_dies_while_the_policy_is_broken_is_begun_again_once_it_is_mended(tmp_path, mongo_uri):
    environment = {"MONGODB_URI": mongo_uri, **secret(tmp_path)}
    with serving(tmp_path, "--workers", "2", "--config", "config", **environment) as (process, address):
        workers = wait_for(lambda: len(found := workers_of(process)) == 2 and found, "workers")
        policy = tmp_path / "config" / "policy.yml"
        good = policy.read_text()
        policy.write_text("roles: [")
        wait_for(lambda: asked(address, "/ready")[1]["checks"]["policy"] == "stale", "staleness")
        os.kill(workers[0], signal.SIGKILL)
        time.sleep(2)
        assert process.poll() is None
        wait_for(lambda: {status(address, "/health") for _ in range(4)} == {200}, "health")
        policy.write_text(good)
        wait_for(lambda: len(workers_of(process)) == 2 and workers[0] not in workers_of(process), "another worker")
        wait_for(lambda: asked(address, "/ready")[1]["checks"]["policy"] == "ok", "agreement")


def test_a_sighup_to_the_one_process_reads_the_files_again(tmp_path, mongo_uri):
    environment = {"MONGODB_URI": mongo_uri, **secret(tmp_path)}
    with serving(tmp_path, "--config", "config", **environment) as (process, address):
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: "was reloaded" in (tmp_path / "printed").read_text(), "a reload")
        assert status(address, "/ready") == 200


def test_t36_a_revoked_token_is_refused_by_every_worker_within_two_seconds(tmp_path, mongo_uri):
    environment = {"MONGODB_URI": mongo_uri, **secret(tmp_path)}
    with serving(tmp_path, "--workers", "3", "--config", "config", **environment) as (process, address):
        wait_for(lambda: len(workers_of(process)) == 3, "workers")
        token = of_alice(tmp_path, **environment)
        assert [documents(address, token) for _ in range(9)] == [200] * 9
        revoked = run(tmp_path, "tokens", "revoke", "--config", "config", "--jti", "of-alice", **environment)
        assert (revoked.returncode, revoked.stdout) == (0, "revoked of-alice\n")
        time.sleep(2.0)
        assert [documents(address, token) for _ in range(12)] == [401] * 12


def test_t5_t36_a_revoked_key_is_refused_by_every_worker_within_two_seconds(tmp_path, mongo_uri):
    environment = {"MONGODB_URI": mongo_uri, **secret(tmp_path)}
    with serving(tmp_path, "--workers", "3", "--config", "config", **environment) as (process, address):
        wait_for(lambda: len(workers_of(process)) == 3, "workers")
        words = ("--config", "config", "--sub", "alice", "--roles", "admin", "--tenant", "acme")
        key = run(tmp_path, "keys", "create", *words, **environment).stdout.split()[-1]
        assert [documents(address, key) for _ in range(9)] == [200] * 9
        revoked = run(tmp_path, "keys", "revoke", key.split("_")[1], "--config", "config", **environment)
        assert revoked.returncode == 0
        time.sleep(2.0)
        assert [documents(address, key) for _ in range(12)] == [401] * 12
