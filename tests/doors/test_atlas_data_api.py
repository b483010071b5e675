"""The door for callers of the Atlas Data API, judged by the client that they use: unmodified, from npm, in Node."""

import json
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest
from pymongo import MongoClient

from tests.http.harness import POLICY, SCHEMA, SECRET
from tests.test_serve import run, serving

pytestmark = pytest.mark.mongo
CLIENT = "mongodb-data-api@0.4.0"
SCRIPT = Path(__file__).parent / "mongodb_data_api.js"


@pytest.fixture(scope="module")
def modules() -> Path:
    """Where Node finds the client; installed once for all runs on this machine."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not here")
    kept = Path(tempfile.gettempdir()) / f"permission-mongo-tests-{os.getuid()}" / CLIENT
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            options = ("--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0", "--fetch-timeout=20000")
            command = [npm, "install", "--prefix", folder, *options, CLIENT]
            try:
                done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=90)
            except subprocess.TimeoutExpired:
                pytest.skip("npm's registry gave no answer in time")
            if done.returncode:
                pytest.skip(f"the client could not be installed from npm's registry: {done.stderr[:200]}")
            with suppress(OSError):  # another run was faster
                Path(folder, "node_modules").rename(kept)
    return kept


def test_the_client_does_each_action_knowing_the_address_alone(mongo_uri, modules, tmp_path):
    config = tmp_path / "config"
    config.mkdir()
    texts = {"config.yaml": f"auth: {{secret: '{SECRET}'}}\ndoors: [atlas_data_api]\n", "schema.yml": SCHEMA}
    for name, text in {**texts, "policy.yml": POLICY}.items():
        (config / name).write_text(text)
    database = f"test_{uuid4().hex[:12]}"
    where = {"MONGODB_URI": mongo_uri, "MONGODB_DATABASE": database}
    try:
        with serving(tmp_path, "--config", str(config), **where) as (_, address):
            made = run(
                tmp_path,
                "keys",
                "create",
                "--config",
                str(config),
                "--sub",
                "boss",
                "--tenant",
                "acme",
                "--roles",
                "boss",
                **where,
            )
            key = next(word for word in made.stdout.split() if word.startswith("pmk_"))
            told = asked(modules, address, key)
    finally:
        with MongoClient(mongo_uri) as client:
            client.drop_database(database)
    shown = told.pop("findOne")["document"]
    assert (shown["_id"], shown["title"], "age" in shown) == ("a", "one", False)
    assert [one["title"] for one in told.pop("find")["documents"]] == ["two"]
    assert told == {
        "insertOne": {"insertedId": "a"},
        "insertMany": {"insertedIds": ["b", "c"]},
        "updateOne": {"matchedCount": 1, "modifiedCount": 1},
        "updateMany": {"matchedCount": 2, "modifiedCount": 2},
        "replaceOne": {"matchedCount": 1, "modifiedCount": 1},
        "upserted": {"matchedCount": 0, "modifiedCount": 0, "upsertedId": "d"},
        "changed": {"matchedCount": 1, "modifiedCount": 1},
        "replaced": {"matchedCount": 0, "modifiedCount": 0, "upsertedId": "e"},
        "aggregate": {"documents": [{"_id": None, "n": 3}]},
        "deleteOne": {"deletedCount": 1},
        "deleteMany": {"deletedCount": 4},
        "gone": {"document": None},
        "hidden": {"refused": 403},
        "elsewhere": {"refused": 403},
        "stranger": {"refused": 401},
    }


def asked(modules: Path, address: str, key: str) -> dict:
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    command = ["node", str(SCRIPT), address, key]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**kept, "NODE_PATH": str(modules)})
    assert done.returncode == 0, done.stderr
    found: dict = json.loads(done.stdout)
    return found
