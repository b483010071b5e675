"""A database beside the gateway's client, dropped at the end."""

from collections.abc import Iterator
from uuid import uuid4

import pymongo
import pytest
from pymongo.database import Database

from tests.faults.replica_set import ReplicaSet, a_replica_set
from tests.faults.rows import end_abandoned
from tests.faults.summaries import TOLD


@pytest.fixture
def database(mongo_uri: str) -> Iterator[Database]:
    with pymongo.MongoClient(mongo_uri) as client:
        found = client[f"test_{uuid4().hex[:12]}"]
        yield found
        end_abandoned(client)
        client.drop_database(found.name)


@pytest.fixture(scope="package")
def replica_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    with a_replica_set(tmp_path_factory.mktemp("set")) as found:
        yield found


@pytest.fixture
def name(replica_set: ReplicaSet) -> Iterator[str]:
    """A database on the set, and, whatever the test did, a whole set afterwards."""
    found = f"test_{uuid4().hex[:12]}"
    yield found
    for one in replica_set.members:
        if one.child is None:
            one.start()
    replica_set.wait()
    with pymongo.MongoClient(replica_set.uri) as client:
        client.drop_database(found)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if TOLD:
        terminalreporter.section("what the faults came to")
        for line in TOLD:
            terminalreporter.write_line(line)
