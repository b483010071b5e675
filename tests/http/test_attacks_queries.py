"""Questions whose answers would be wrong, or tell what is hidden."""

import pytest

from tests.http.harness import a_config, a_kept_world, a_token
from tests.http.test_computed import POLICY, SCHEMA

pytestmark = pytest.mark.mongo
ORDERS = """
  people: {client_ids: true, fields: {tenant_id: {type: string}, order: {type: string}}}
"""
PEOPLE = """
  people: {user: {actions: ["*"]}}
"""


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=SCHEMA + ORDERS, policy=POLICY + PEOPLE)) as found:
        for path, row in (
            ("/orders", {"_id": "1", "name": "a", "net": 10, "tax": 2}),
            ("/people", {"_id": "p", "order": "1"}),
        ):
            assert (await found.post(path, row, token=a_token())).status_code == 201
        # Stored before the field was computed: never shown, and no more in an aggregation.
        await found.database["orders"].update_one({"_id": "1"}, {"$set": {"total": 99}})
        yield found


@pytest.mark.parametrize(
    ("path", "pipeline"),
    [
        ("/orders", [{"$group": {"_id": "$total"}}]),
        ("/orders", [{"$project": {"total": 1}}]),
        ("/orders", [{"$match": {"total": 99}}, {"$count": "n"}]),
        ("/orders", [{"$sort": {"total": 1}}, {"$project": {"name": 1}}]),
        (
            "/people",
            [
                {"$lookup": {"from": "orders", "localField": "order", "foreignField": "_id", "as": "o"}},
                {"$project": {"o.total": 1}},
            ],
        ),
        (
            "/people",
            [
                {"$lookup": {"from": "orders", "localField": "order", "foreignField": "total", "as": "o"}},
                {"$project": {"o.name": 1}},
            ],
        ),
    ],
)
async def test_an_aggregation_refuses_a_computed_field_instead_of_finding_it_absent(world, path, pipeline):
    answer = await world.post(f"{path}/aggregate", {"pipeline": pipeline})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert answer.json()["error"]["message"] == "total: a computed field can't be asked about here"


async def test_a_name_that_a_pipeline_makes_is_no_computed_field(world):
    pipeline = [{"$project": {"total": {"$add": ["$net", "$tax"]}}}, {"$match": {"total": 12}}]
    answer = await world.post("/orders/aggregate", {"pipeline": pipeline})
    assert answer.json() == {"data": [{"_id": "1", "total": 12}]}
