"""One gateway process for each file of these tests, and clients of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pymongo
import pytest

from permission_mongo.client import Client
from tests.client.places import Place
from tests.faults.processes import a_gateway_process
from tests.http.harness import CONFIG, POLICY, SCHEMA

SIZE = 4  # items of a chunk: a filter that finds more is a job
MORE = """
  days:
    id_type: uuid
    access: {tenant_field: null, owner_field: null}
    fields: {name: {type: string}, at: {type: date}, price: {type: decimal}, other: {type: uuid}, raw: {type: any}}
"""
ROLES = "root: {cross_tenant: true, system: [admin, explain, audit, policy_write]}, asker: {inherits: [boss], system: [explain, audit]}"


@contextmanager
def a_place(mongo_uri: str, folder: Path, config: str = "") -> Iterator[Place]:
    database = f"client_{uuid4().hex[:12]}"
    folder = folder / "config"
    folder.mkdir()
    mongodb = f"mongodb: {{uri: '${{ENV.MONGODB_URI}}', database: {database}, min_pool_size: 0}}\n"
    namespaces = f"namespaces: {{eu: {{database: {database}_eu}}}}\n"
    own = f"limits: {{max_batch_size: {SIZE}}}\nconsole: {{write: true}}\n"
    (folder / "config.yaml").write_text(CONFIG + mongodb + namespaces + own + config)
    (folder / "schema.yml").write_text(SCHEMA + MORE.lstrip("\n"))
    policy = POLICY.replace("root: {cross_tenant: true}", ROLES)
    (folder / "policy.yml").write_text(policy + "  days:\n    boss: {actions: ['*']}\n    root: {actions: ['*']}\n")
    with pymongo.MongoClient(mongo_uri) as look, a_gateway_process(folder, mongo_uri) as gateway:
        try:
            yield Place(f"http://127.0.0.1:{gateway.port}", gateway.port, folder, look[database])
        finally:
            for name in (database, f"{database}_eu"):
                look.drop_database(name)


@pytest.fixture(scope="module")
def place(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with a_place(mongo_uri, tmp_path_factory.mktemp("client")) as found:
        yield found


@pytest.fixture(scope="module")
def client(place: Place) -> Iterator[Client]:
    """As a boss, who may do everything with notes of the tenant."""
    with place.client("boss") as found:
        yield found
