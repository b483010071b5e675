"""The plan of an aggregation: guarded rows, the fields that are named and no others, joins guarded by their own rules."""

from uuid import UUID

import pytest

from permission_mongo.aggregations import JoinPlan
from permission_mongo.config.model import Config
from permission_mongo.errors import Forbidden, InvalidRequest
from permission_mongo.operations import Aggregate
from permission_mongo.planning.callers import Callers
from permission_mongo.planning.make import Planner
from permission_mongo.query.cursors import CursorKey
from permission_mongo.query.limits import Limits
from permission_mongo.query.pipeline import read_pipeline
from permission_mongo.schema.model import Collection, Field
from permission_mongo.storage.aggregates import pipeline_of
from tests.builders import a_policy, a_rule, some_fields
from tests.planning.test_plans import asked

NOTES = Collection(
    "notes",
    {
        "tenant_id": Field("tenant_id", "string"),
        "title": Field("title", "string"),
        "age": Field("age", "integer"),
        "pay": Field("pay", "object", properties={"a": Field("a", "integer"), "b": Field("b", "integer")}),
        "lines": Field("lines", "array", items=Field("lines[]", "object", properties={"n": Field("n", "integer")})),
    },
    tenant_field="tenant_id",
)
ORDERS = Collection("orders", {"by": Field("by", "string"), "total": Field("total", "integer")})
ALL = {"notes": NOTES, "orders": ORDERS}
COUNT = {"$count": "n"}


def plan(rules, *stages):
    planner = Planner(Callers(Config(ALL, a_policy(*rules)), bytes(32)), CursorKey(bytes(32)), lambda: UUID(int=1), {})
    return planner.plan(Aggregate(NOTES, read_pipeline(list(stages), NOTES, ALL, Limits())), asked())


def test_the_guard_and_the_fields_stand_before_the_first_stage_and_the_bound_behind_the_last():
    made = plan([a_rule(when="resource.title == user.id")], {"$match": {"pay.a": 1}}, {"$group": {"_id": "$age"}})
    guard, fields, *stages, bound = pipeline_of(made)
    assert guard == {"$match": made.match.filter}
    assert all(text in str(guard) for text in ("acme", "alice"))
    assert "$expr" not in str(pipeline_of(made))
    assert fields == {"$project": {"_id": 1, "age": 1, "pay.a": 1}}
    assert stages == [{"$match": {"pay.a": {"$eq": 1}}}, {"$group": {"_id": "$age"}}, {"$sort": {"_id": 1}}]
    assert bound == {"$limit": 10_001}


@pytest.mark.parametrize(
    ("stages", "fields"),
    [
        ([COUNT], {("_id",)}),
        ([{"$project": {"pay.a": 1, "_id": 0}}, {"$project": {"x": "$pay.a"}}], {("_id",), ("pay", "a")}),
        ([{"$match": {"pay.a": 1}}, {"$sortByCount": "$pay"}], {("_id",), ("pay",)}),
        ([{"$match": {"lines.0.n": 1, "lines.n": 1}}, COUNT], {("_id",), ("lines",)}),
    ],
)
def test_no_field_is_kept_together_with_one_below_it(stages, fields):
    assert set(plan([a_rule()], *stages).fields) == fields


def test_a8_only_grants_that_read_every_named_field_lend_their_rows():
    rules = [
        a_rule(when="resource.age == 1", fields=some_fields(deny=["pay"])),
        a_rule(when="resource.age >= 2", fields=some_fields(deny=["title"])),
    ]
    titles, counted = (str(plan(rules, stage).match.filter) for stage in ({"$project": {"title": 1}}, COUNT))
    assert ("'$eq': 1" in titles, "'$gte': 2" in titles) == (True, False)
    assert ("'$eq': 1" in counted, "'$gte': 2" in counted) == (True, True)
    with pytest.raises(Forbidden, match="unknown or not permitted"):
        plan(rules, {"$project": {"title": 1, "pay": 1}})


def test_a_wrong_value_is_told_after_the_fields_are_known_to_be_the_callers():
    hidden = [a_rule(fields=some_fields(deny=["age"]))]
    with pytest.raises(Forbidden):
        plan(hidden, {"$match": {"age": "x"}}, COUNT)
    with pytest.raises(InvalidRequest, match="expected a number"):
        plan([a_rule()], {"$match": {"age": "x"}}, COUNT)


def test_a10_a_join_is_guarded_by_the_read_rules_over_there():
    lookup = {"$lookup": {"from": "orders", "localField": "title", "foreignField": "by", "as": "o"}}
    shown = {"$project": {"t": "$o.total"}}
    here = a_rule()
    over_there = a_rule(collection="orders", when="resource.total == 7", actions=["read"])
    made = plan([here, over_there], lookup, shown)
    joined = made.stages[0]
    assert isinstance(joined, JoinPlan)
    assert joined.fields == (("_id",), ("total",))
    written = pipeline_of(made)[2]["$lookup"]
    assert written["pipeline"] == [{"$match": joined.match.filter}, {"$project": {"_id": 1, "total": 1}}]
    assert "7" in str(joined.match.filter)
    assert set(written) == {"from", "localField", "foreignField", "as", "pipeline"}
    for rules in ([here], [here, a_rule(collection="orders", fields=some_fields(deny=["by"]))]):
        with pytest.raises(Forbidden):
            plan(rules, lookup, shown)
