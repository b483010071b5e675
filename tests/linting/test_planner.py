"""With `--uri` it is MongoDB that says how it would look for what a rule lists."""

import json
import uuid
from datetime import datetime

import pymongo
import pytest
from bson import ObjectId

from permission_mongo.cli.main import main
from tests.linting.test_lints import CONFIG

pytestmark = pytest.mark.mongo
SCHEMA = """
settings: {id_type: string, default_tenant_field: tenant_id}
collections:
  notes:
    fields:
      tenant_id: {type: string}
      owner_id: {type: objectId}
      team: {type: object, properties: {name: {type: string}}}
      at: {type: date}
      tags: {type: array, items: {type: string}}
    indexes: [{fields: [tenant_id, owner_id]}]
"""
POLICY = """
roles: {owner: {}, mate: {}, late: {}, tagged: {}, all: {}}
policies:
  notes:
    owner: {actions: [read], when: resource.owner_id == user.id}
    mate: {actions: [read], when: resource.team.name == user.team.name}
    late: {actions: [update], when: resource.at > user.since}
    tagged: {actions: [delete], when: "containsAny(resource.tags, user.roles)"}
    all: {actions: [read]}
"""


@pytest.fixture
def asked(mongo_uri, tmp_path, capsys, monkeypatch):
    """The places and messages of what the planner is blamed for."""
    name = f"check_{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("MONGODB_DATABASE", name)
    for file, text in (("config.yaml", CONFIG), ("schema.yml", SCHEMA), ("policy.yml", POLICY)):
        (tmp_path / file).write_text(text)

    def ask(*indexes):
        for keys in indexes:
            rows.create_index(keys)
        assert main(["check", str(tmp_path), "--json", "--uri", mongo_uri]) == 0
        found = json.loads(capsys.readouterr().out)["findings"]
        return {one["line"]: one["message"] for one in found if one["code"] == "planner-scan"}

    with pymongo.MongoClient(mongo_uri) as client:
        rows = client[name]["notes"]
        rows.insert_many(
            {
                "_id": f"n{n}",
                "tenant_id": "acme",
                "owner_id": ObjectId(),
                "team": {"name": f"team {n % 100}"},
                "at": datetime(2026, 1, 1 + n % 28),
                "tags": [f"tag{n % 50}"],
            }
            for n in range(500)
        )
        yield ask
        client.drop_database(name)


def test_a_rule_without_an_index_is_told_with_what_it_costs(asked):
    told = asked()
    assert set(told) == {5, 6, 7, 8}
    assert "reads the whole collection for this rule: 500 documents looked at, 5 found" in told[6]
    assert "500 documents looked at, 1 found" in told[5]


def test_a_rule_with_its_index_is_not_told(asked):
    by_tenant = [[("tenant_id", 1), (name, 1)] for name in ("owner_id", "team.name", "at", "tags")]
    assert asked(*by_tenant) == {}


def test_an_index_on_the_tenant_alone_is_told_as_no_help(asked):
    told = asked([("tenant_id", 1), ("_id", 1)])
    assert "finds no index that fits for this rule: 500 documents looked at, 5 found" in told[6]
