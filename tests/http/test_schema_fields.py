"""Fields the gateway makes, defaults, partial indexes: as stored."""

from datetime import datetime
from uuid import UUID

import pytest
from bson import ObjectId

from tests.http.harness import a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
SCHEMA = """
settings: {id_type: string, default_tenant_field: tenant_id}
collections:
  items:
    versioning: {enabled: false}
    fields:
      tenant_id: {type: string}
      name: {type: string}
      key: {type: uuid, auto: true}
      code: {type: string, auto: true}
      seen: {type: date, auto_update: true}
      rank: {type: integer, auto: true, default: 7}
      maker: {type: string, auto: true, default: user.id}
      created_at: {type: string}
      tags: {type: array, default: [a]}
      until: {type: date, default: now()}
      place: {type: object, properties: {city: {type: string, default: Rome}, since: {type: date, default: now()}}}
      status: {type: string}
    indexes:
      - {fields: [tenant_id, name], unique: true, partial: {status: open}}
  owned: {access: {tenant_field: null}, fields: {by: {type: objectId, default: user.id}, key: {type: objectId, auto: true, default: user.id}}}
"""
POLICY = 'roles: {user: {}}\npolicies: {items: {user: {actions: ["*"]}}, owned: {user: {actions: ["*"]}}}\n'


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=SCHEMA, policy=POLICY)) as found:
        yield found


async def test_auto_fields_are_made_by_the_gateway(world):
    assert (await world.post("/items", {"name": "a", "place": {}})).status_code == 201
    stored = await world.database["items"].find_one()
    assert stored["key"].version == 4
    assert UUID(stored["code"]).version == 4
    assert (stored["rank"], stored["maker"], type(stored["seen"])) == (7, "alice", datetime)
    assert stored["created_at"].endswith("Z")
    assert (stored["tags"], type(stored["until"])) == (["a"], datetime)
    assert (stored["place"]["city"], type(stored["place"]["since"])) == ("Rome", datetime)


@pytest.mark.parametrize("name", ["key", "code", "seen", "rank", "maker", "created_at", "updated_at"])
async def test_t24_fields_the_gateway_makes_are_not_the_callers_to_send(world, name):
    """`created_at` is declared without `auto`, and stamped all the same."""
    answer = await world.post("/items", {"name": "a", name: "x"})
    assert (answer.status_code, answer.json()["error"]["details"]["fields"]) == (403, [name])


async def test_a_partial_index_is_unique_only_where_its_filter_holds(world):
    statuses = [
        (await world.post("/items", {"name": "a", "status": status})).status_code
        for status in ("open", "open", "closed", "closed")
    ]
    assert statuses == [201, 409, 201, 201]


async def test_a_callers_id_that_does_not_fit_its_field_is_refused_and_breaks_nothing(world):
    fit = a_token(str(ObjectId()))
    assert (await world.post("/owned", {}, token=fit)).status_code == 201
    assert (await world.post("/owned", {})).status_code == 403  # `key` is stamped


@pytest.mark.parametrize("value", [2**63, 2**64, 10**400, -(2**63) - 1])
async def test_t18_integers_of_more_than_64_bits_are_told(world, value):
    answer = await world.post("/items", {"name": "a", "place": {"since": value}})
    assert answer.status_code == 400
