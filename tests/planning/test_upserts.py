"""What a change finds nothing to change for: the document that is planned for it, and what is told of one that can't be."""

from dataclasses import replace

import pytest

from permission_mongo.documents.changes import Put, Step, Steps
from permission_mongo.errors import Forbidden, SchemaViolation
from permission_mongo.operations import Alike, UpdateMany
from permission_mongo.policy.rules import ACTIONS
from permission_mongo.upserts import Anew
from tests.builders import NOW, a_rule
from tests.planning.test_plans import NOTES, OPTIONS, a_planner, a_query, asked

CHANGE = Steps((Step("$inc", "pay", 1),))


def planned(anew, change=CHANGE, asked_filter=None, **rule):
    operation = UpdateMany(NOTES, Alike(a_query(asked_filter or {"title": "t"}), change), OPTIONS, anew)
    return a_planner(a_rule(**{"actions": ACTIONS, **rule})).plan(operation, asked())


def made(*more, **which):
    [draft] = planned(*more, **which).otherwise.drafts
    if draft.refusal is not None:
        raise draft.refusal
    return draft.document


def test_operators_are_of_what_the_filter_asks_to_be_equal():
    anew = Anew("x", True, alike=(Step("$set", "pay", {"$numberInt": "4"}),), only=(Step("$set", "title", "n"),))
    document = made(anew)
    assert (document["_id"], document["pay"], document["title"], document["owner"]) == ("x", 5, "n", "alice")
    dated = made(Anew("x"), Steps((Step("$currentDate", "at"),)))
    assert dated["at"] == NOW


def test_a_replacement_is_itself():
    document = made(Anew("x", document={"title": "n"}), Put({}, {"title": "n"}, True))
    assert (document["title"], "pay" in document) == ("n", False)


def test_what_is_wrong_with_it_is_no_refusal_of_the_change():
    """It may well find something: only where it is to be created it is told, fields before values."""
    for anew, change in (
        (Anew("x", alike=(Step("$set", "pay", 1),)), Steps((Step("$push", "pay", (1,)),))),
        (Anew("x", alike=(Step("$set", "title", "t"),)), Steps((Step("$set", "at", "never"),))),
        (Anew("x", only=(Step("$set", "pay", "x"),)), Steps(())),
        (Anew("x", fault=SchemaViolation("wrong")), Steps(())),
    ):
        assert planned(anew, change).otherwise is not None
        with pytest.raises(SchemaViolation):
            made(anew, change)
        with pytest.raises(Forbidden, match="unknown or not permitted field"):
            made(replace(anew, only=(*anew.only, Step("$set", "nothing", 1))), change)


def test_whoever_may_not_create_is_refused_before_any_query():
    with pytest.raises(Forbidden, match="allows create"):
        planned(Anew("x"), actions=["read", "update"])
    with pytest.raises(Forbidden, match="allows update"):
        planned(Anew("x"), actions=["read", "create"])


def test_what_the_filter_finds_is_looked_for_among_the_visible_rows():
    plan = planned(Anew("x"), when="resource.owner == user.id")
    for guard in (plan.match, plan.visible):
        assert all(one in str(guard.filter) for one in ("'acme'", "'alice'", "'t'"))
    with pytest.raises(Forbidden, match="unknown or not permitted field"):
        planned(Anew("x"), asked_filter={"nothing": 1})
