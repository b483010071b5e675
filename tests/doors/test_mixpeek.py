"""The door for callers of the Mixpeek API, judged by the client that they use: unmodified, from PyPI."""

import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from pymongo import MongoClient

from tests.http.harness import SECRET
from tests.test_serve import run, serving

pytestmark = pytest.mark.mongo
SCRIPT = Path(__file__).parent / "mixpeek_client.py"
SCHEMA = """
settings: {id_type: string, default_tenant_field: tenant_id, default_owner_field: owner_id}
collections:
  clips:
    client_ids: true
    versioning: {enabled: true}
    fields:
      tenant_id: {type: string}
      owner_id: {type: string}
      title: {type: string, required: true}
      score: {type: number}
      secret: {type: string}
      metadata: {type: object, properties: {status: {type: string}, stage: {type: string}}}
      near: {type: vector, dimensions: 2}
      photo: {type: blob}
  notes:
    client_ids: true
    fields: {tenant_id: {type: string}, owner_id: {type: string}, text: {type: string}}
"""
POLICY = """
roles: {editor: {}}
policies:
  clips:
    editor: {actions: ["*"], when: "resource.owner_id == user.id", fields: {deny: [secret]}}
  notes:
    editor: {actions: ["*"], when: "resource.owner_id == user.id"}
"""


def test_the_client_does_what_its_pages_show_knowing_the_address_alone(mongo_uri, tmp_path):
    pytest.importorskip("mixpeek")
    config = tmp_path / "config"
    config.mkdir()
    texts = {
        "config.yaml": f"auth: {{secret: '{SECRET}'}}\ndoors: [mixpeek]\nblobs: {{url_ttl: 2s}}\n",
        "schema.yml": SCHEMA,
    }
    for name, text in {**texts, "policy.yml": POLICY}.items():
        (config / name).write_text(text)
    database = f"test_{uuid4().hex[:12]}"
    where = {"MONGODB_URI": mongo_uri, "MONGODB_DATABASE": database}
    try:
        with serving(tmp_path, "--config", str(config), **where) as (_, address):
            options = ("--config", str(config), "--sub", "app", "--tenant", "acme", "--roles", "editor")
            made = run(tmp_path, "keys", "create", *options, **where)
            key = next(word for word in made.stdout.split() if word.startswith("pmk_"))
            with MongoClient(mongo_uri) as client:
                foreign = {"_id": "foreign", "tenant_id": "acme", "owner_id": "other", "title": "x", "_version": 1}
                client[database]["clips"].insert_one(foreign)
            told = asked(address, key)
            with MongoClient(mongo_uri) as client:
                left = sorted(row["_id"] for row in client[database]["clips"].find())
    finally:
        with MongoClient(mongo_uri) as client:
            client.drop_database(database)
    assert told == TOLD
    assert left == ["a", "b", "foreign"]


def asked(address: str, key: str) -> dict:
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    command = [sys.executable, str(SCRIPT), address, key]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=kept)
    assert done.returncode == 0, done.stderr
    found: dict = json.loads(done.stdout)
    return found


ABSENT = "no such document in clips"
TOLD = {
    "created": ["a", "clips", "Red Car"],
    "got": ["a", "Red Car", None],
    "vector": [1.0, 2.0],
    "listed": [["a", "b", "c"], 4, "the next page", ["d"]],
    "listed by query": ["b"],
    "filtered": ["a"],
    "patched": ["a", {"status": "new", "stage": "cut"}],
    "put": 7.0,
    "batch update": [2, 1, [["a", True, None], ["b", True, None], ["foreign", False, ABSENT]]],
    "batch update by filter": [1, 0, []],
    "bulk update": [1, "1 updated"],
    "batch get": [["a", "n"], ["clips", "notes"], ["foreign", "absent"]],
    "blob": ["photo", "image", "a.png", "image/png", 10],
    "bytes": "ten bytes!",
    "bytes after their time": 404,
    "not asked for": None,
    "vectors": [0, 1, "the document breaks its schema in 1 place: near: can't be changed once it is set"],
    "deleted": [True, "Successfully deleted"],
    "batch delete": [1, 2, [["c", True, None], ["foreign", False, ABSENT], ["absent", False, ABSENT]]],
    "batch delete by filter": [1, 0, []],
    "undone": 1,
    "nothing named": [400, 'filters: an empty filter matches everything; say so with "all": true'],
    "absent": [404, "NotFoundError", ABSENT],
    "hidden": [403, "ForbiddenError", "unknown or not permitted field"],
    "deep": [400, "nested deeper than 8"],
    "many": [400, "more than 200 conditions"],
    "wrong": [422, "ValidationError"],
    "elsewhere": [403, "no such namespace, or not yours"],
    "stranger": [401, "the API key is not valid"],
    "plain client": {
        "list": [["a", "b"], "a"],
        "update": ["a", "Blue Car"],
        "batch_update": [1, 1],
        "get": ["a", "Blue Car"],
        "delete": True,
        "refused": [404, False, ABSENT],
        "address": True,
    },
}
