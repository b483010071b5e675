"""Aggregations: rows and fields that the caller reads raw, and nothing else."""

import pytest

from tests.http.harness import CONFIG, a_config, a_token, a_world

pytestmark = pytest.mark.mongo
SCHEMA = """
settings: {id_type: string, default_tenant_field: tenant_id}
collections:
  people:
    client_ids: true
    additional_fields: keep
    fields:
      tenant_id: {type: string}
      team: {type: string}
      status: {type: string}
      age: {type: integer}
      at: {type: date}
      salary: {type: number}
      ssn: {type: string}
      pay: {type: object, properties: {month: {type: number}, bonus: {type: number}}}
      tags: {type: array, items: {type: string}}
      lines: {type: array, items: {type: object, properties: {sku: {type: string}, cost: {type: number}}}}
  secrets:
    client_ids: true
    fields: {tenant_id: {type: string}, text: {type: string}}
"""
POLICY = """
roles: {boss: {}, lead: {}, clerk: {}, reader: {}, blind: {}, mixed: {}, narrow: {}, hushed: {}}
policies:
  people:
    boss: {actions: ["*"]}
    lead: {actions: [read, aggregate], when: "resource.team == user.team", fields: {deny: [salary, pay.bonus, lines.cost], mask: {ssn: last4}}}
    reader: {actions: [read]}
    blind: {actions: [aggregate]}
    mixed:
      - {actions: [aggregate]}
      - {actions: [read], when: "resource.team == 'red'"}
      - {actions: [read], when: "resource.team == 'blue'", fields: {deny: [salary]}}
    narrow: {actions: [read, aggregate], when: "resource.status == 'open'", fields: {allow: [status, age, pay.month]}}
    hushed:
      - {actions: [read, aggregate]}
      - {effect: deny, actions: [read], fields: [salary], when: "resource.status == 'closed'"}
  secrets:
    boss: {actions: ["*"]}
"""
BOSS = a_token("boss", ["boss"])
LEAD = a_token("lea", ["lead"], team="red")
PEOPLE = [
    {
        "_id": "a",
        "team": "red",
        "status": "open",
        "age": 30,
        "salary": 100,
        "tags": ["x", "y"],
        "pay": {"month": 10, "bonus": 1},
        "ssn": "123456789",
        "at": "2026-01-31",
        "lines": [{"sku": "p", "cost": 3}],
    },
    {
        "_id": "b",
        "team": "red",
        "status": "closed",
        "age": 40,
        "salary": 200,
        "tags": ["x"],
        "pay": {"month": 20, "bonus": 2},
        "ssn": "223456789",
    },
    {
        "_id": "c",
        "team": "blue",
        "status": "open",
        "age": 50,
        "salary": 300,
        "tags": [],
        "pay": {"month": 30, "bonus": 3},
        "ssn": "323456789",
    },
]


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_world(mongo_uri, a_config(tmp_path, CONFIG, SCHEMA, POLICY)) as found:
        made = await found.post("/people/batch", {"documents": PEOPLE}, token=BOSS)
        assert made.status_code == 201, made.text
        await found.database["people"].insert_one({"_id": "z", "tenant_id": "evil", "team": "red", "age": "hostile"})
        yield found


async def ask(world, *stages, token=LEAD, collection="people"):
    return await world.post(f"/{collection}/aggregate", {"pipeline": list(stages)}, token=token)


async def rows(world, *stages, token=LEAD):
    answer = await ask(world, *stages, token=token)
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["data"]
    return answer.json()["data"]


def told(answer):
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["message"]


NOT_YOURS = (403, "forbidden", "unknown or not permitted field")


async def test_stages_do_what_they_say(world):
    grouped = await rows(
        world,
        {"$match": {"age": {"$gte": 30}}},
        {"$group": {"_id": "$team", "n": {"$sum": 1}, "ages": {"$push": "$age"}, "mean": {"$avg": "$pay.month"}}},
        {"$sort": {"_id": 1}},
        {"$addFields": {"double": {"$multiply": ["$n", 2]}}},
        token=BOSS,
    )
    assert grouped == [
        {"_id": "blue", "n": 1, "ages": [50], "mean": 30, "double": 2},
        {"_id": "red", "n": 2, "ages": [30, 40], "mean": 15, "double": 4},
    ]
