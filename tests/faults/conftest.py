"""A database beside the gateway's client, dropped at the end."""

from collections.abc import Iterator
from uuid import uuid4

import pymongo
import pytest
from pymongo.database import Database

from tests.faults.rows import end_abandoned


@pytest.fixture
def database(mongo_uri: str) -> Iterator[Database]:
    with pymongo.MongoClient(mongo_uri) as client:
        found = client[f"test_{uuid4().hex[:12]}"]
        yield found
        end_abandoned(client)
        client.drop_database(found.name)
