"""A plan is complete and guarded, or there is none."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass, replace
from datetime import datetime, timedelta
from typing import Any, get_args
from uuid import UUID

import pytest

from permission_mongo.auditing import ListAudit
from permission_mongo.batch import Batch
from permission_mongo.config.model import Config
from permission_mongo.documents.changes import Merge, Put, Step, Steps
from permission_mongo.documents.etags import Tags
from permission_mongo.documents.paths import canonical
from permission_mongo.errors import Forbidden, InvalidRequest, PayloadTooLarge, SchemaViolation, VersioningNotEnabled
from permission_mongo.operations import (
    Aggregate,
    Alike,
    ByFilter,
    ByIds,
    ByTags,
    CancelJob,
    Compare,
    CountMany,
    CreateMany,
    CreateOne,
    DeleteMany,
    DeleteOne,
    Describe,
    Each,
    Explain,
    GetAsOf,
    GetJob,
    GetMany,
    GetOne,
    GetVersion,
    ListAsOf,
    ListDeleted,
    ListJobs,
    ListMany,
    ListVersions,
    PurgeOne,
    ReadAgain,
    Reading,
    RestoreOne,
    Revised,
    Sent,
    Service,
    SyncHierarchy,
    TellMatrix,
    TellMe,
    TellPolicy,
    Undo,
    UpdateMany,
    UpdateOne,
    Write,
)
from permission_mongo.planning.callers import Asking, Callers
from permission_mongo.planning.make import Planner
from permission_mongo.policy.guard import Guarded, GuardedStates
from permission_mongo.policy.rules import ACTIONS
from permission_mongo.principal import Principal
from permission_mongo.query.cursors import CursorKey
from permission_mongo.query.filters import read_filter
from permission_mongo.query.limits import Limits
from permission_mongo.query.pipeline import read_pipeline
from permission_mongo.query.sorting import read_sort
from permission_mongo.schema.model import Collection, Field, Keeping, Ref
from permission_mongo.upserts import Anew
from tests.builders import NOW, a_policy, a_rule, some_fields

FIELDS = {
    name: Field(name, kind)
    for name, kind in {
        "tenant_id": "string",
        "owner": "string",
        "title": "string",
        "pay": "integer",
        "at": "date",
    }.items()
}
NOTES = Collection("notes", FIELDS, "string", True, "tenant_id", "owner", timestamps=False, versioned=True)
OPTIONS = Batch("b" * 32)


def a_principal(subject="alice", tenant: str | None = "acme", roles=("user",), **claims) -> Principal:
    return Principal(subject, tenant, frozenset(roles), claims, "token")


def a_planner(*rules, collection=NOTES, limits=None, **policy) -> Planner:
    config = Config({collection.name: collection}, a_policy(*rules, **policy), limits=limits or Limits())
    return Planner(
        Callers(config, bytes(32)), CursorKey(bytes(32)), lambda: UUID(int=1), {collection.name: datetime(2000, 1, 1)}
    )


def asked(principal=None, now=NOW) -> Asking:
    return Asking(principal or a_principal(), now, {"method": "GET", "ip": "127.0.0.1"}, "r1")


def parts_of(plan: Any) -> Iterator[Any]:
    """All that a plan is made of, however deep."""
    yield plan
    if isinstance(plan, Guarded | GuardedStates | Collection):
        return
    if isinstance(plan, Mapping):
        plan = tuple(plan.values())
    if is_dataclass(plan):
        plan = tuple(getattr(plan, one.name) for one in dataclasses.fields(plan))
    if isinstance(plan, tuple | list):
        for one in plan:
            yield from parts_of(one)


def guards_of(plan) -> list[Guarded]:
    return [
        one.listed if isinstance(one, GuardedStates) else one
        for one in parts_of(plan)
        if isinstance(one, Guarded | GuardedStates)
    ]


def a_query(asked_filter) -> ByFilter:
    return ByFilter(read_filter(asked_filter, NOTES, Limits()))


COUNTED = Aggregate(NOTES, read_pipeline([{"$match": {"title": "t"}}, {"$count": "n"}], NOTES, {}, Limits()))
LOOKUP = {"$lookup": {"from": "notes", "localField": "title", "foreignField": "owner", "as": "o"}}
JOINED = Aggregate(NOTES, read_pipeline([LOOKUP, {"$project": {"o.title": 1}}], NOTES, {"notes": NOTES}, Limits()))
BY_TITLE = read_sort(["title"], NOTES, "sort")
LINKED = replace(NOTES, fields={**FIELDS, "next": Field("next", "string", ref=Ref("notes"))})
IN_DIFFERENCES = replace(NOTES, keeping=Keeping(differences=True))
EARLIER = NOW - timedelta(hours=1)
SEEN = Tags(frozenset({'"t"'}))
READS = [
    COUNTED,
    JOINED,
    GetOne(NOTES, "x"),
    GetMany(NOTES, ("x", "y")),
    ListMany(NOTES, 20),
    ListMany(NOTES, 20, sort=BY_TITLE),
    CountMany(NOTES),
    GetAsOf(NOTES, "x", EARLIER),
    ListAsOf(NOTES, 20, EARLIER),
    ListDeleted(NOTES, 20),
    ListVersions(NOTES, "x", 10),
    ListVersions(IN_DIFFERENCES, "x", 10),
    GetVersion(NOTES, "x", 1),
    Compare(NOTES, "x", 1, 2),
    ReadAgain(NOTES, "x", 1, created=False),
]
UNDO = Undo(NOTES, "c" * 32, OPTIONS)
CHANGES = [
    DeleteMany(NOTES, ByIds(("x",)), OPTIONS),
    DeleteMany(NOTES, ByTags({"x": SEEN, "y": None}), OPTIONS),
    DeleteMany(NOTES, a_query({"title": "t"}), OPTIONS),
    UNDO,
    UpdateOne(NOTES, "x", Put({}, {"title": "t"})),
    UpdateOne(NOTES, "x", Steps((Step("$set", "title", "t"),)), SEEN),
    UpdateOne(LINKED, "x", Steps((Step("$set", "next", "y"),))),
    UpdateMany(NOTES, Alike(ByIds(("x", "y")), Merge({"title": "t"})), OPTIONS),
    UpdateMany(NOTES, Alike(a_query({"title": "t"}), Steps((Step("$set", "title", "t"),))), OPTIONS),
    UpdateMany(
        LINKED,
        Alike(a_query({"title": "t"}), Steps((Step("$set", "next", "y"),))),
        OPTIONS,
        Anew("x", alike=(Step("$set", "title", "t"),)),
    ),
    UpdateMany(NOTES, Alike(a_query({"title": "t"}), Put({}, {"title": "n"}, True)), OPTIONS, Anew("x", document={})),
    UpdateMany(NOTES, Each((Revised("x", Merge({"title": "t"})), Revised("y", Put({}, {"pay": 1}), SEEN))), OPTIONS),
    DeleteOne(NOTES, "x"),
    PurgeOne(NOTES, "x", "why"),
    RestoreOne(NOTES, "x", 1),
    RestoreOne(IN_DIFFERENCES, "x", 1, SEEN),
]
CREATES = [
    CreateOne(LINKED, Sent("x", {"next": "y"})),
    CreateMany(LINKED, (Sent("x", {"next": "y"}), Sent("y", {"title": "t"})), OPTIONS),
]
WRITES = [*CHANGES, *CREATES]
JOBS = [GetJob("j"), CancelJob("j"), ListJobs(10)]
QUESTIONS = [
    Explain(NOTES, "purge", "x"),
    TellMe(),
    Describe(),
    TellPolicy(),
    TellMatrix(),
]
AUDIT = [ListAudit(10)]


def test_every_operation_is_among_those_of_these_tests():
    """A new one fails here until it is listed, and then each law below is asked of its plan."""
    assert {type(one) for one in READS} == {*get_args(Reading)}
    assert {type(one) for one in WRITES} == {*get_args(Write)}
    assert {type(one) for one in (*JOBS, *AUDIT, *QUESTIONS, SyncHierarchy())} == {*get_args(Service)}


@pytest.mark.parametrize("operation", JOBS, ids=lambda one: type(one).__name__)
def test_a_plan_of_jobs_names_whose_they_are_and_no_row(operation):
    planner = a_planner(a_rule(actions=ACTIONS))
    plan = planner.plan(operation, asked())
    assert (plan.whose.tenant, plan.whose.subject, plan.whose.kind) == ("acme", "alice", "token")
    assert not plan.whose.all_of_tenant
    assert guards_of(plan) == []


@pytest.mark.parametrize("operation", [*READS, *WRITES], ids=lambda one: type(one).__name__)
def test_every_match_of_every_plan_holds_the_tenant_and_the_rule(operation):
    planner = a_planner(a_rule(when="resource.owner == user.id", actions=ACTIONS))
    guards = guards_of(planner.plan(operation, asked()))
    assert guards
    for guard in guards:
        text = str(guard.filter)
        assert "'acme'" in text
        assert "'alice'" in text


@pytest.mark.parametrize("operation", [*READS, *WRITES], ids=lambda one: type(one).__name__)
def test_records_are_of_the_tenant_and_their_contents_are_asked_of_the_rule(operation):
    planner = a_planner(a_rule(when="resource.owner == user.id", actions=ACTIONS))
    row = {"tenant_id": "acme", "owner": "alice"}
    for states in (one for one in parts_of(planner.plan(operation, asked())) if isinstance(one, GuardedStates)):
        assert "'acme'" in str(states.chain.filter)
        assert states.admits(row)
        assert not states.admits({**row, "owner": "bob"})
        assert not states.admits({**row, "tenant_id": "evil"})


@pytest.mark.parametrize("operation", [*READS, *WRITES], ids=lambda one: type(one).__name__)
def test_a_role_without_the_action_and_a_caller_without_tenant_are_refused_before_any_query(operation):
    planner = a_planner(a_rule("boss"))
    with pytest.raises(Forbidden):
        planner.plan(operation, asked())
    with pytest.raises(Forbidden, match="credential names none"):
        a_planner(a_rule(actions=ACTIONS)).plan(operation, asked(a_principal(tenant=None)))


def test_a_cross_tenant_role_is_the_only_way_past_the_tenant():
    planner = a_planner(a_rule("root"), cross_tenant=["root"])
    assert guards_of(planner.plan(GetOne(NOTES, "x"), asked(a_principal(tenant=None, roles=("root",)))))[0].filter == {}


@pytest.mark.parametrize("tenant", ["$where", "a\x00", "x" * 5000])
def test_t7_a_tenant_that_is_no_plain_text_matches_nothing(tenant):
    plan = a_planner(a_rule()).plan(GetOne(NOTES, "x"), asked(a_principal(tenant=tenant)))
    assert plan.rows.is_empty


def test_delete_needs_the_delete_rule_and_the_read_rule_on_the_same_row():
    reads = a_rule(when="resource.title == 'seen'", actions=["read"])
    deletes = a_rule(when="resource.owner == user.id", actions=["delete"])
    plan = a_planner(reads, deletes).plan(CHANGES[0], asked())
    assert "seen" in str(plan.match.filter)
    assert "alice" in str(plan.match.filter)
    assert "alice" not in str(plan.visible.filter)


@pytest.mark.parametrize("path", ["pay", "unknown", "pay.x", "_made", "_made.by"])
def test_a1_a7_hidden_masked_and_unknown_fields_get_the_same_refusal(path):
    query = ListMany(NOTES, 20, query=read_filter({path: 1}, NOTES, Limits()))
    for fields in (some_fields(deny=["pay"]), some_fields(mask={"pay": "redact"}), some_fields(["title"])):
        with pytest.raises(Forbidden) as caught:
            a_planner(a_rule(fields=fields)).plan(query, asked())
        assert caught.value.message == "unknown or not permitted field"
        assert caught.value.details == {"action": "read", "collection": "notes", "fields": [path]}


def test_a2_a_hidden_field_is_refused_inside_logic_and_elements_too():
    planner = a_planner(a_rule(fields=some_fields(deny=["pay"])))
    for asked_filter in (
        {"$or": [{"title": "x"}, {"$nor": [{"pay": 0}]}]},
        {"title": {"$elemMatch": {"pay": 1}}},
        {"pay.0": 1},
    ):
        with pytest.raises(Forbidden):
            planner.plan(ListMany(NOTES, 20, query=read_filter(asked_filter, NOTES, Limits())), asked())


def test_a_wrong_value_is_told_only_of_a_field_the_caller_reads():
    query = ListMany(NOTES, 20, query=read_filter({"pay": "much"}, NOTES, Limits()))
    with pytest.raises(InvalidRequest, match="expected a number"):
        a_planner(a_rule()).plan(query, asked())
    with pytest.raises(Forbidden):
        a_planner(a_rule(fields=some_fields(deny=["pay"]))).plan(query, asked())


def test_grants_are_bound_once_for_a_principal_and_never_shared_between_two():
    """A20"""
    planner = a_planner(a_rule(when="resource.owner == user.id"))
    alice, bob = a_principal(), a_principal("bob")
    first = planner.callers.access(asked(alice), NOTES, "read")
    assert planner.callers.access(asked(alice), NOTES, "read") is first
    assert planner.callers.access(asked(a_principal()), NOTES, "read") is not first
    assert "bob" in str(planner.plan(GetOne(NOTES, "x"), asked(bob)).rows.filter)


def test_rules_that_read_the_clock_or_the_request_are_bound_each_time():
    planner = a_planner(a_rule(when="resource.at < now && request.method == 'GET'"))
    later = datetime(2027, 1, 1)
    assert "2027" in str(planner.plan(GetOne(NOTES, "x"), asked(now=later)).rows.filter)
    assert "2026" in str(planner.plan(GetOne(NOTES, "x"), asked()).rows.filter)
    assert planner.plan(GetOne(NOTES, "x"), replace(asked(), request={"method": "POST"})).rows.is_empty


def test_roles_the_policy_does_not_know_give_nothing_and_are_not_remembered():
    planner = a_planner(a_rule())
    for n in range(20):
        planner.callers.access(asked(a_principal(roles=("user", f"made-up-{n}"))), NOTES, "read")
    assert planner.callers._policy.speaking.cache_info().currsize == 1


# -- creates


def created(planner, document, principal=None, **sent):
    return planner.plan(CreateOne(NOTES, Sent("x", document, **sent)), asked(principal)).drafts[0].document


def test_what_one_caller_creates_under_one_policy_may_go_together_and_nothing_else():
    """Another credential of the same person, a loaded policy, another collection: each a caller of its own."""
    planner, alice = a_planner(a_rule()), a_principal()

    def caller(planner, principal=alice):
        return planner.plan(CreateOne(NOTES, Sent("x", {"title": "t"})), asked(principal)).caller

    assert caller(planner) is caller(planner) is not None
    assert caller(planner, a_principal()) is not caller(planner)
    assert caller(a_planner(a_rule())) is not caller(planner)
    assert caller(a_planner(a_rule(when="request.method == 'GET' || resource.owner == user.id"))) is None


def test_a_new_document_is_stamped_and_marked():
    document = created(a_planner(a_rule()), {"title": "t"})
    mark = {"action": "create", "by": "alice", "at": NOW}
    assert document == {"_id": "x", "_version": 1, "_made": mark, "title": "t", "owner": "alice", "tenant_id": "acme"}


@pytest.mark.parametrize("field", ["tenant_id", "owner", "_version", "_made", "unknown", "pay"])
def test_t24_a16_what_the_gateway_writes_or_the_rule_withholds_can_not_be_sent(field):
    planner = a_planner(a_rule(fields=some_fields(deny_write=["pay"])))
    with pytest.raises(Forbidden) as caught:
        created(planner, {"title": "t", field: "mine"})
    assert caught.value.details["fields"] == [field]


@pytest.mark.parametrize("field", ["_made", "_version"])
def test_t24_the_gateways_marks_can_not_be_sent_where_any_field_is_kept(field):
    open_notes = replace(NOTES, keeps_additional=True)
    planner = a_planner(a_rule(), collection=open_notes)
    with pytest.raises(Forbidden):
        planner.plan(CreateOne(open_notes, Sent("x", {field: {"by": "root"}})), asked())
    query = read_filter({f"{field}x": 1, "_made.by": "root"}, open_notes, Limits())
    with pytest.raises(Forbidden):
        planner.plan(ListMany(open_notes, 20, query=query), asked())


@pytest.mark.parametrize("name", ["$where", "a.b", "", "a\x00"])
def test_t21_names_that_can_not_be_addressed_are_refused(name):
    with pytest.raises(SchemaViolation):
        created(a_planner(a_rule()), {name: 1})


def test_the_condition_must_hold_for_the_final_document():
    planner = a_planner(a_rule(when="resource.owner == user.id && resource.title == 'ok'"))
    assert created(planner, {"title": "ok"})
    with pytest.raises(Forbidden):
        created(planner, {"title": "other"})


def test_one_rule_must_do_it_all():
    """A rule for the row and another for the field are not a rule for both."""
    row = a_rule(when="resource.title == 'ok'", fields=some_fields(["title"]))
    field = a_rule(when="resource.title == 'other'", fields=some_fields(["title", "pay"]))
    with pytest.raises(Forbidden):
        created(a_planner(row, field), {"title": "ok", "pay": 1})
    assert created(a_planner(row, field), {"title": "other", "pay": 1})


def test_a_check_and_a_deny_count_on_creation():
    with pytest.raises(Forbidden):
        created(a_planner(a_rule(check="resource.title != 'locked'")), {"title": "locked"})
    with pytest.raises(Forbidden):
        created(a_planner(a_rule(), a_rule(effect="deny", when="resource.title == 'locked'")), {"title": "locked"})


def test_a_cross_tenant_creator_names_the_tenant_or_is_refused():
    planner = a_planner(a_rule("root"), cross_tenant=["root"])
    root = a_principal(tenant=None, roles=("root",))
    assert created(planner, {"title": "t", "tenant_id": "other"}, root)["tenant_id"] == "other"
    with pytest.raises(Forbidden, match="needs a tenant"):
        created(planner, {"title": "t"}, root)


def test_t23_a_document_above_the_limit_is_refused():
    planner = a_planner(a_rule(), limits=Limits(max_document_bytes=1000))
    with pytest.raises(PayloadTooLarge):
        created(planner, {"title": "x" * 2000})


def test_an_id_is_the_callers_only_where_the_collection_says_so():
    closed = replace(NOTES, client_ids=False)
    with pytest.raises(Forbidden) as caught:
        a_planner(a_rule(), collection=closed).plan(
            CreateOne(closed, Sent("x", {"title": "t"}, names_id=True)), asked()
        )
    assert caught.value.details["fields"] == ["_id"]


def test_history_is_asked_only_of_collections_that_keep_it():
    plain = replace(NOTES, versioned=False)
    with pytest.raises(VersioningNotEnabled):
        a_planner(a_rule(), collection=plain).plan(ListVersions(plain, "x", 10), asked())


def test_undo_asks_the_kept_content_and_that_one_rule_accepts_it():
    restores = a_rule(when="resource.owner == user.id", check="resource.title != 'locked'", actions=["restore"])
    plan = a_planner(restores, a_rule(actions=["read"])).plan(UNDO, asked())
    for put_back in (plan.reviving.match, plan.reverting.former):
        assert "data.owner" in str(put_back.filter)
        assert "data.title" in str(put_back.filter)
    assert "data.tenant_id" in str(plan.reviving.visible.filter)
    assert plan.removing is None


def test_fields_asked_for_must_be_readable_raw():
    planner = a_planner(a_rule(fields=some_fields(mask={"pay": "redact"})))
    with pytest.raises(Forbidden):
        planner.plan(GetMany(NOTES, ("x",), ("pay",)), asked())
    assert planner.plan(GetMany(NOTES, ("x",), ("title",)), asked()).fields == {canonical("title")}
