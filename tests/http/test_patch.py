"""`PATCH /{collection}/{id}`: merge patch and operators, and every way in which a rule could be got round."""

import asyncio
from dataclasses import replace

import pytest
from bson import Int64

from permission_mongo.documents.changes import Merge
from permission_mongo.errors import Conflict, Forbidden, Misconfigured
from permission_mongo.operations import DeleteOne, PurgeOne, UpdateOne
from permission_mongo.planning.callers import Asking
from permission_mongo.policy.guard import Guarded
from permission_mongo.principal import Principal
from permission_mongo.values import utc_now
from tests.http.harness import CONFIG, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
BOB, BOSS = a_token("bob"), a_token("boss", ["boss"])

SCHEMA = """
settings: {default_tenant_field: tenant_id, id_type: string}
collections:
  notes:
    client_ids: true
    versioning: {enabled: true}
    fields:
      tenant_id: {type: string}
      title: {type: string, required: true, max_length: 20}
      meta: {type: object, properties: {owner: {type: string}, note: {type: string}, rank: {type: integer}}}
      open: {type: object}
      free: {type: any}
      pay: {type: object, properties: {month: {type: number, min: 0}, bonus: {type: number}, code: {type: string}}}
      lines: {type: array, items: {type: object, properties: {sku: {type: string}, price: {type: number}}}}
      tags: {type: array, items: {type: string}, max_length: 3}
      secret: {type: string}
      hidden: {type: object, properties: {a: {type: string, max_length: 3}, b: {type: integer}}}
      kind: {type: string}
      serial: {type: string, immutable: true}
      count: {type: integer}
      amount: {type: decimal}
      at: {type: date}
      reviewed_by: {type: string}
      level: {type: integer}
"""
POLICY = """
roles: {user: {}, mover: {}, writer: {}, reader: {}, narrow: {}, editor: {}, blind: {}, part: {}, barred: {}, checked: {}, root: {cross_tenant: true}, all: {}}
policies:
  notes:
    user:
      - {actions: [create, read, update, delete], when: "resource.meta.owner == user.id", set: {reviewed_by: user.id}}
    mover:
      - actions: [create, read, update]
        when: "resource.meta.owner == user.id"
        check: "resource.meta.owner in ['alice', 'bob']"
        fields: {reassign: [meta.owner]}
    reader: {actions: [read], fields: {deny: [secret, pay.bonus, hidden, lines.price]}}
    narrow: {actions: [read], fields: {allow: [title, open.k.z]}}
    writer: {actions: [update], fields: {deny: [pay.bonus, lines.price]}}
    blind: {actions: [update]}
    barred:
      - {actions: [read, update], fields: {mask: {serial: last4}}}
      - {effect: deny, actions: [update], fields: [kind], when: "resource.level == 1"}
      - {effect: deny, actions: ["*"], fields: [secret]}
    part:
      - {actions: [read], when: "resource.kind == 'x'"}
      - {actions: [read], fields: {deny: [count, serial]}}
      - {actions: [update], fields: {deny_write: [kind]}}
    checked:
      - {actions: [read], when: "true"}
      - {actions: [update], when: "resource.level == 1", fields: {allow: [title]}}
      - {actions: [update], when: "resource.level == 1", fields: {allow: [tags]}}
      - {actions: [update], when: "true", check: "resource.count < 10", fields: {allow: [count]}}
      - {actions: [update], when: "resource.level == 1", check: "true", fields: {allow: [kind]}}
    root: {actions: ["*"]}
    all: {actions: ["*", purge]}
"""
ALL = a_token("al", ["all"])


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, schema=SCHEMA, policy=POLICY)) as found:
        yield found


async def store(world, **fields):
    row = {
        "_id": "a",
        "tenant_id": "acme",
        "title": "t",
        "meta": {"owner": "alice", "note": "n"},
        "_version": 1,
        **fields,
    }
    await world.database["notes"].insert_one(row)


async def stored(world):
    return await world.database["notes"].find_one({"_id": "a"})


async def patch(world, body, token=ALL, **more):
    answer = await world.ask("PATCH", "/notes/a", body, token=token, **more)
    return answer.status_code, answer.json()


async def refused(world, body, token=ALL):
    """Status and error of a change that must change nothing."""
    before = await stored(world)
    status, answer = await patch(world, body, token)
    assert await stored(world) == before
    assert await world.database["_pm_versions"].count_documents({}) == 0
    return status, answer["error"]


def fields_of(told):
    return told["details"]["fields"]


# -- merge patch


async def test_a_merge_patch_sets_removes_and_reaches_into_objects(world):
    await store(world, count=1, pay={"month": 1, "bonus": 2}, tags=["x", "y"])
    status, body = await patch(world, {"count": None, "pay": {"month": 5}, "tags": ["z"], "kind": "k"})
    assert (status, body["pay"], body["tags"], body["kind"], "count" in body) == (
        200,
        {"month": 5, "bonus": 2},
        ["z"],
        "k",
        False,
    )
    assert body["_version"] == 2


async def test_a_merge_patch_makes_an_object_of_what_is_none(world):
    await store(world, pay="text")
    status, body = await patch(world, {"pay": {"month": 5, "bonus": None}})
    assert (status, body["pay"]) == (200, {"month": 5})


async def test_a_merge_patch_that_changes_nothing_writes_nothing(world):
    await store(world, count=1)
    before = await stored(world)
    assert (await patch(world, {"count": 1, "kind": None, "meta": {"note": "n"}}))[1]["_version"] == 1
    assert await stored(world) == before


async def test_a_required_field_can_not_be_removed(world):
    await store(world)
    for body in ({"title": None}, {"$unset": {"title": ""}}, {"$rename": {"title": "kind"}}):
        status, told = await refused(world, body)
        assert (status, told["details"]["errors"][0]["code"]) == (422, "required")


# -- operators


async def test_operators_count_extend_and_rename(world):
    await store(
        world, count=Int64(1), tags=["a"], at=None, kind="k", lines=[{"sku": "x", "price": 1}], pay={"month": 2}
    )
    body = {
        "$inc": {"count": 2},
        "$addToSet": {"tags": {"$each": ["a", "b"]}},
        "$currentDate": {"at": True},
        "$rename": {"kind": "secret"},
        "$set": {"lines.0.sku": "y", "amount": "12.50", "open.deep.name": 1},
        "$mul": {"pay.month": 1.5},
        "$min": {"pay.bonus": 3},
    }
    status, shown = await patch(world, body)
    assert status == 200, shown
    row = await stored(world)
    assert (row["count"], type(row["count"])) == (3, Int64)
    assert (row["tags"], row["secret"], row["lines"], row["pay"]) == (
        ["a", "b"],
        "k",
        [{"sku": "y", "price": 1}],
        {"month": 3.0, "bonus": 3},
    )
    assert (shown["amount"], row["open"], "kind" in row) == ({"$numberDecimal": "12.50"}, {"deep": {"name": 1}}, False)
    assert shown["at"].endswith("Z")
    assert shown == (await world.get("/notes/a", token=ALL)).json()


async def test_elements_are_pulled_and_pushed(world):
    await store(world, tags=["a", "b"], lines=[{"sku": "x"}])
    assert (await patch(world, {"$pull": {"tags": "a"}, "$push": {"lines": {"sku": "y"}}}))[0] == 200
    assert (await patch(world, {"$pull": {"tags": {"$in": ["b"]}}}))[0] == 200
    row = await stored(world)
    assert (row["tags"], row["lines"]) == ([], [{"sku": "x"}, {"sku": "y"}])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"$set": {"title": "x"}, "title": "y"},
        {"$set": {}},
        {"$set": "x"},
        {"$where": {"a": 1}},
        {"$setOnInsert": {"title": "x"}},
        {"$bit": {"count": {"and": 1}}},
        {"$push": {"tags": {"$each": ["x"], "$slice": 1}}},
        {"$push": {"tags": {"$position": 0}}},
        {"$push": {"tags": {"$each": "x"}}},
        {"$addToSet": {"tags": {"$in": ["x"]}}},
        {"$pull": {"tags": {"$gt": "a"}}},
        {"$pull": {"tags": {"sku": "a"}}},
        {"$pull": {"tags": ["a"]}},
        {"$set": {"lines.$.sku": "x"}},
        {"$set": {"lines.$[].sku": "x"}},
        {"$set": {"lines.$[x].sku": "x"}},
        {"$set": {"lines.01.sku": "x"}},
        {"$set": {"lines.9999999.sku": "x"}},
        {"$set": {"open.0": "x"}},
        {"$set": {"title.0": "x"}},
        {"$set": {"a..b": 1}},
        {"$set": {"": 1}},
        {"$set": {"meta": {"note": "x"}, "meta.note": "y"}},
        {"$set": {"meta.note": "x"}, "$unset": {"meta": ""}},
        {"$inc": {"count": 1}, "$mul": {"count": 2}},
        {"$rename": {"kind": "kind"}},
        {"$rename": {"kind": "meta.note"}, "$set": {"meta.note": "x"}},
        {"$rename": {"lines.0.sku": "kind"}},
        {"$rename": {"kind": 1}},
        {"$currentDate": {"at": {"$type": "timestamp"}}},
        {"$inc": {"count": {"a": 1}}},
        {"$unset": {"count": {"a": 1}}},
    ],
    ids=str,
)
async def test_what_no_operator_means_is_refused(world, body):
    await store(world, lines=[{"sku": "x"}])
    status, told = await refused(world, body)
    assert (status, told["code"]) == (400, "bad_request")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"$inc": {"title": 1}}, "type"),
        ({"$inc": {"count": "x"}}, "type"),
        ({"$inc": {"count": 1.5}}, "type"),
        ({"$inc": {"count": 2**62}}, "overflow"),
        ({"$mul": {"count": 2**33}}, "overflow"),
        ({"$set": {"free.x.y": 1}}, "path"),
        ({"$push": {"free": 1}}, "type"),
        ({"$push": {"title": "x"}}, "type"),
        ({"$push": {"tags": 1}}, "type"),
        ({"$push": {"tags": {"$each": ["a", "b", "c", "d"]}}}, "max_length"),
        ({"$set": {"lines.5000.sku": "x"}}, "path"),
        ({"$set": {"pay": "x"}}, "type"),
        ({"$set": {"pay.month": -1}}, "min"),
        ({"$min": {"count": None}}, "type"),
        ({"$currentDate": {"title": True}}, "type"),
        ({"$set": {"open": {"$x": 1}}}, "name"),
        ({"$set": {"open": {"a.b": 1}}}, "name"),
    ],
    ids=str,
)
async def test_what_a_document_does_not_bear_is_told_by_its_field(world, body, code):
    await store(world, count=Int64(2**62), free={"x": "text"}, lines=[{"sku": "x"}], tags=[])
    status, told = await refused(world, body)
    assert (status, [one["code"] for one in told["details"]["errors"]]) == (422, [code])


async def test_racing_increments_lose_none_and_versions_have_no_gap(world):
    await store(world, count=0)
    answers = await asyncio.gather(*(patch(world, {"$inc": {"count": 1}}) for _ in range(30)))
    assert {status for status, _ in answers} == {200}
    row = await stored(world)
    assert (row["count"], row["_version"]) == (30, 31)
    kept = await world.database["_pm_versions"].find({"doc_id": "a"}).sort("version").to_list()
    assert [(one["version"], one["data"]["count"]) for one in kept] == [(n + 1, n) for n in range(30)]
    moments = [one["ended"]["at"] for one in kept]
    assert moments == sorted(set(moments))


# -- A16, T24: what a role is judged by

USER, MOVER = a_token("alice", ["user"]), a_token("alice", ["mover"])


@pytest.mark.parametrize(
    "body",
    [
        {"meta": {"owner": "bob"}},
        {"meta": None},
        {"meta": {"owner": None}},
        {"$set": {"meta.owner": "bob"}},
        {"$set": {"meta": {"owner": "bob"}}},
        {"$set": {"meta": {}}},
        {"$set": {"meta": None}},
        {"$unset": {"meta": ""}},
        {"$unset": {"meta.owner": ""}},
        {"$rename": {"meta": "open"}},
        {"$rename": {"meta.owner": "kind"}},
        {"$rename": {"kind": "meta.owner"}},
        {"$rename": {"open": "meta"}},
        {"$push": {"meta.owner": "bob"}},
        {"$inc": {"meta.owner": 1}},
        {"$set": {"meta.owner.0": "bob"}},
        {"$set": {"meta.owner.name": "bob"}},
        {"tenant_id": "evil"},
        {"$set": {"tenant_id": "evil"}},
        {"$unset": {"tenant_id": ""}},
        {"$rename": {"tenant_id": "kind"}},
        {"$rename": {"kind": "tenant_id"}},
        {"$set": {"_version": 9}},
        {"$inc": {"_version": 1}},
        {"$unset": {"_made": ""}},
        {"$set": {"_made.by": "bob"}},
        {"$set": {"created_by": "bob"}},
        {"$set": {"reviewed_by": "bob"}},
        {"updated_by": "bob"},
    ],
    ids=str,
)
async def test_A16_T24_owner_tenant_and_stamps_can_not_be_moved_by_any_path(world, body):
    await store(world, kind="k", open={"owner": "bob"})
    status, told = await refused(world, body, USER)
    assert status == 403, told
    if "meta.owner.name" not in str(body) and ".0" not in str(body):
        assert told["message"] == "unknown or not permitted field"


@pytest.mark.parametrize(
    "body", [{"$set": {"meta": {"note": "x"}}}, {"meta": {"note": "x"}}, {"$set": {"meta.note": "x"}}], ids=str
)
async def test_A16_owner_cannot_be_moved_by_parent_path(world, body):
    """What the rule can't write of an object that is set is carried over."""
    await store(world)
    assert (await patch(world, body, USER))[0] == 200
    assert (await stored(world))["meta"] == {"owner": "alice", "note": "x"}


async def test_A16_put_of_the_parent_keeps_the_owner_too(world):
    await store(world)
    answer = await world.ask("PUT", "/notes/a", {"meta": {"note": "x"}}, token=USER)
    assert answer.status_code == 200
    assert (await stored(world))["meta"] == {"owner": "alice", "note": "x"}
    answer = await world.ask("PUT", "/notes/a", {"meta": {"owner": "bob", "note": "x"}}, token=USER)
    assert (answer.status_code, fields_of(answer.json()["error"])) == (403, ["meta.owner"])


@pytest.mark.parametrize("body", [{"$set": {"_id": "b"}}, {"_id": "b"}, {"$unset": {"_id": ""}}, {"$rename": {"_id": "kind"}},
                                  {"$rename": {"kind": "_id"}}, {"$set": {"_id.x": 1}}, {"$inc": {"_id": 1}}, {"_id": None}], ids=str)  # fmt: skip
async def test_T22_a_document_keeps_its_id(world, body):
    await store(world)
    status, told = await refused(world, body)
    assert (status, told["details"]["errors"][0]["code"]) == (422, "immutable")
    assert (await patch(world, {"_id": "a", "title": "n"}))[0] == 200


async def test_reassign_lets_a_field_be_written_that_the_check_then_judges(world):
    await store(world)
    status, told = await refused(world, {"$set": {"meta.owner": "carl"}}, MOVER)
    assert (status, "fields" in told["details"]) == (403, False)
    status, body = await patch(world, {"$set": {"meta.owner": "bob"}}, MOVER)
    assert (status, body) == (200, {"_id": "a"}), "given away: no longer visible"
    assert (await patch(world, {"$set": {"meta.owner": "alice"}}, MOVER))[0] == 404


async def test_A16_a_cross_tenant_caller_moves_no_document_to_another_tenant(world):
    await store(world)
    for body in ({"tenant_id": "evil"}, {"$set": {"tenant_id": "evil"}}):
        assert (await refused(world, body, a_token("root", ["root"], None)))[0] == 403


def test_reassign_without_a_check_is_refused_with_its_place(tmp_path):
    policy = "roles: {user: {}}\npolicies:\n  notes:\n    user: {actions: [update], fields: {reassign: [title]}}\n"
    with pytest.raises(Misconfigured) as told:
        a_config(tmp_path, schema=SCHEMA, policy=policy)
    assert "4:" in str(told.value)
    assert "'reassign' needs a 'check'" in str(told.value)


# -- shapes


@pytest.mark.parametrize(
    "update",
    [{"$set": {"free.k.z": 1}}, {"$set": {"open.k.z": 1}}, {"$unset": {"free.k.z": ""}}, {"$push": {"free.k": 1}}],
)
async def test_the_shape_of_what_is_not_shown_is_told_by_no_step_below_it(world, update):
    """It does nothing where a hidden value stands in its way, and is told as where none does."""
    told = set()
    for held in (None, {}, {"k": {}}, {"k": 5}, {"k": "s"}, {"k": [1]}, "text", [1], {"k": None}):
        for name in ("notes", "_pm_versions"):
            await world.database[name].delete_many({})
        await store(world, **({} if held is None else {"free": held, "open": held if isinstance(held, dict) else {}}))
        answer = await world.ask("PATCH", "/notes/a", update, token=a_token("n", ["narrow", "blind"]))
        rehearsed = await world.ask(
            "PUT",
            "/notes/batch",
            {"ids": ["a"], "update": update, "dry_run": True},
            token=a_token("n", ["narrow", "blind"]),
        )
        told.add(
            (
                answer.status_code,
                answer.json()["_version"] if answer.status_code == 200 else answer.text,
                rehearsed.status_code,
            )
        )
        row = await world.database["notes"].find_one({"_id": "a"})
        if (
            isinstance(held, dict)
            and held.get("k") in (5, "s", [1])
            and "$push" not in update
            and "$unset" not in update
        ):
            assert held["k"] == (row["free"] if "free.k.z" in update["$set"] else row["open"])["k"]
    assert len(told) == 1, told


# -- fields


WRITER = a_token("w", ["reader", "writer"])


async def test_hidden_fields_of_an_object_survive_that_it_is_set(world):
    await store(world, pay={"month": 1, "bonus": 2, "code": "c"}, hidden={"a": "x", "b": 1})
    assert (await patch(world, {"$set": {"pay": {"month": 5}}}, WRITER))[0] == 200
    assert (await stored(world))["pay"] == {"month": 5, "bonus": 2}
    answer = await world.ask("PUT", "/notes/a?_replace=true", {"title": "t", "pay": {"code": "d"}}, token=WRITER)
    assert answer.status_code == 200
    row = await stored(world)
    assert (row["pay"], row["hidden"], row["tenant_id"], "meta" in row) == (
        {"bonus": 2, "code": "d"},
        {"a": "x", "b": 1},
        "acme",
        False,
    )


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"$set": {"pay.bonus": 1}}, ["pay.bonus"]),
        ({"pay": {"bonus": 1}}, ["pay.bonus"]),
        ({"pay": None}, ["pay"]),
        ({"$unset": {"pay": ""}}, ["pay"]),
        ({"$set": {"lines": []}}, ["lines"]),
        ({"$set": {"lines.0": {"sku": "y", "price": 0}}}, ["lines.0.price"]),
        ({"$set": {"lines.0.price": 0}}, ["lines.0.price"]),
        ({"$push": {"lines": {"sku": "y"}}}, ["lines"]),
        ({"$set": {"nothing": 1}}, ["nothing"]),
        ({"$set": {"pay.nothing": 1}}, ["pay.nothing"]),
        ({"$push": {"lines": {"nothing": "y"}}}, ["lines", "lines.nothing"]),
    ],
    ids=str,
)
async def test_a_field_that_is_not_the_callers_is_told_like_an_unknown_one(world, body, fields):
    await store(world, pay={"month": 1, "bonus": 2}, lines=[{"sku": "x", "price": 1}])
    status, told = await refused(world, body, WRITER)
    assert (status, told["message"], fields_of(told)) == (403, "unknown or not permitted field", fields)


@pytest.mark.parametrize(
    "body",
    [{"$inc": {"hidden.b": 1}}, {"$rename": {"secret": "kind"}}, {"$rename": {"kind": "secret"}}, {"$push": {"secret": "x"}},
     {"$min": {"hidden.b": 5}}, {"$max": {"hidden.b": 5}}, {"$currentDate": {"secret": True}}, {"$pull": {"secret": "x"}}],
    ids=str,
)  # fmt: skip
async def test_an_operator_that_asks_about_a_hidden_value_is_refused(world, body):
    await store(world, secret="s", hidden={"b": 1}, kind="k")
    status, told = await refused(world, body, WRITER)
    assert (status, told["message"]) == (403, "unknown or not permitted field")


async def test_to_write_what_one_can_not_read_always_answers_as_a_change(world):
    await store(world, secret="s")
    for n, body in enumerate(({"$set": {"secret": "s"}}, {"$set": {"secret": "x"}}, {"secret": "x"}, {"$unset": {"secret": ""}},
                              {"$unset": {"secret": ""}}, {"secret": None})):  # fmt: skip
        status, answer = await patch(world, body, WRITER)
        assert (status, answer["_version"]) == (200, n + 2)


async def test_whether_a_value_may_be_asked_about_is_judged_in_the_row(world):
    """`part` reads count in rows of kind x alone; policy text lets it ask."""
    await store(world, count=1, kind="y")
    part = a_token("p", ["part"])
    status, told = await refused(world, {"$inc": {"count": 1}}, part)
    assert (status, told["message"], fields_of(told)) == (403, "unknown or not permitted field", ["count"])
    assert (await patch(world, {"$set": {"count": 1}}, part))[1]["_version"] == 2
    await world.database["notes"].update_one({"_id": "a"}, {"$set": {"kind": "x"}})
    assert (await patch(world, {"$inc": {"count": 1}}, part))[1]["count"] == 2
    assert (await patch(world, {"$set": {"count": 2}}, part))[1]["_version"] == 3


async def test_errors_in_what_one_can_not_read_are_one_entry_without_a_field(world):
    await store(world)
    status, told = await refused(world, {"$set": {"hidden.a": "long", "hidden.b": "x", "title": "x" * 21}}, WRITER)
    errors = told["details"]["errors"]
    assert (status, [(one["field"], one["code"]) for one in errors]) == (
        422,
        [("title", "max_length"), (None, "hidden")],
    )


async def test_an_updater_without_a_right_to_read_is_forbidden(world):
    await store(world)
    assert (await refused(world, {"title": "x"}, a_token("b", ["blind"])))[0] == 403


async def test_one_rule_must_do_it_all(world):
    """Two rules cover one field each, a third accepts small counts only: together they are no fourth."""
    checked = a_token("c", ["checked"])
    await store(world, level=1, count=5)
    assert (await refused(world, {"title": "x", "tags": ["y"]}, checked))[0] == 403
    assert (await refused(world, {"title": "x", "count": 6}, checked))[0] == 403
    assert (await refused(world, {"count": 10}, checked))[0] == 403
    for body in ({"title": "x"}, {"tags": ["y"]}, {"count": 6}, {"kind": "k"}):
        assert (await patch(world, body, checked))[0] == 200
    await world.database["notes"].update_one({"_id": "a"}, {"$set": {"level": 2}})
    for body in ({"title": "z"}, {"kind": "k"}):
        assert (await patch(world, body, checked))[0] == 403, "the rows of its own rule no longer hold"
    assert (await patch(world, {"count": 7}, checked))[0] == 200


async def test_stamps_of_the_rules_are_written_with_the_change(world):
    await store(world)
    _, body = await patch(world, {"kind": "k"}, USER)
    assert (body["reviewed_by"], body["updated_by"]) == ("alice", "alice")


async def test_an_immutable_field_is_set_once(world):
    await store(world, serial=None)
    assert (await patch(world, {"serial": "s"}))[0] == 200
    for body in ({"serial": "t"}, {"serial": None}, {"$unset": {"serial": ""}}, {"$rename": {"serial": "kind"}}):
        status, told = await patch(world, body)
        assert (status, told["error"]["details"]["errors"][0]["code"]) == (422, "immutable"), body
    assert (await stored(world))["serial"] == "s"
    assert (await patch(world, {"$set": {"serial": "s"}}))[0] == 200


async def test_untouched_old_errors_refuse_nothing(world):
    await store(world, pay={"month": "old", "bonus": 1}, lines=[{"price": "old"}, {"sku": "x"}], tags=[1, 2, 3, 4])
    assert (await patch(world, {"$set": {"pay.bonus": 2, "lines.1.sku": "y"}}))[0] == 200


async def test_A14_a_text_that_looks_like_an_operator_stays_a_text(world):
    await store(world)
    status, body = await patch(world, {"$set": {"title": "$kind", "open": {"x": "$$ROOT"}}})
    assert (status, body["title"], body["open"]) == (200, "$kind", {"x": "$$ROOT"})


async def test_hostile_stored_names_under_a_touched_field_are_no_fault_of_ours(world):
    await world.database["notes"].insert_one({"_id": "a", "tenant_id": "acme", "title": "t", "_version": 1})
    await world.database["notes"].update_one(
        {"_id": "a"},
        [
            {
                "$replaceWith": {
                    "$setField": {
                        "field": {"$literal": "open"},
                        "input": "$$ROOT",
                        "value": {"$literal": {"$x": 1, "a.b": 2}},
                    }
                }
            }
        ],
    )
    status, _ = await patch(world, {"$set": {"open.y": 1}})
    assert status in (200, 422)


async def test_a_merge_that_replaces_what_is_no_object_needs_the_whole_of_it(world):
    """Below it stands a field that the rule can't write."""
    await store(world, pay="text")
    status, told = await refused(world, {"pay": {"month": 5}}, WRITER)
    assert (status, fields_of(told)) == (403, ["pay.month"])


async def test_what_policy_text_refuses_is_refused_before_the_document_is_looked_for(world):
    for body in ({"$inc": {"hidden.b": 1}}, {"$set": {"pay.bonus": 1}}, {"nothing": 1}):
        answer = await world.ask("PATCH", "/notes/none", body, token=WRITER)
        assert (answer.status_code, answer.json()["error"]["message"]) == (403, "unknown or not permitted field")
    answer = await world.ask("PATCH", "/notes/none", {"$set": {"secret": "x"}}, token=a_token("x", ["barred"]))
    assert answer.status_code == 403


async def test_what_a_deny_hides_from_writers_is_written_by_nobody(world):
    """In all rows by policy text, in some by the row; a claim can't help."""
    barred = a_token("x", ["barred"])
    await store(world, level=1)
    for body in ({"$set": {"secret": "x"}}, {"$set": {"kind": "x"}}, {"kind": None}):
        status, told = await refused(world, body, barred)
        assert (status, told["message"]) == (403, "unknown or not permitted field")
    await world.database["notes"].update_one({"_id": "a"}, {"$set": {"level": 2}})
    assert (await patch(world, {"kind": "x"}, barred))[0] == 200


async def test_a_field_that_is_set_once_is_not_guessed_by_one_who_can_not_read_it(world):
    await store(world, serial="s")
    told = [await refused(world, {"$set": {"serial": guess}}, a_token("x", ["barred"])) for guess in ("s", "t")]
    assert (told[0][0], told[0][1]) == (403, told[1][1])
    told = [await refused(world, {"$set": {"serial": guess}}, a_token("p", ["part"])) for guess in ("s", "t")]
    assert (told[0][0], told[0][1]) == (403, told[1][1])


@pytest.mark.parametrize("operation", ["update", "delete", "purge"])
async def test_the_guard_stands_in_the_command_itself(mongo_uri, tmp_path, operation):
    """Whatever was read and judged before: a plan whose filter matches nothing changes nothing."""
    config = a_config(tmp_path, config=CONFIG + "limits: {query_timeout: 1s}\n", schema=SCHEMA, policy=POLICY)
    async with a_kept_world(mongo_uri, config) as world:
        await store(world)
        notes = world.gateway.config.collections["notes"]
        change = UpdateOne(notes, "a", Merge({"title": "x"}))
        asked = {"update": change, "delete": DeleteOne(notes, "a"), "purge": PurgeOne(notes, "a", "r")}[operation]
        principal = Principal("al", "acme", frozenset({"all", "root"}), {}, "token")
        asking = Asking(principal, utc_now(), {}, "r1")
        plan = world.gateway.planner.plan(asked, asking)
        closed = replace(plan, match=Guarded({"_id": {"$in": ["none"]}}))
        with pytest.raises((Conflict, Forbidden)):
            await world.gateway.store.execute(closed, asking.actor())
        assert (await stored(world))["title"] == "t"
        await world.gateway.store.execute(plan, asking.actor())


def nested(depth):
    value = 1
    for _ in range(depth):
        value = {"x": value}
    return value


HOSTILE = [
    2**70, -(2**63) - 1, 1e308, {"$numberLong": "x"}, {"$numberLong": str(2**63)}, {"$date": 10**30}, {"$oid": "x"}, {"$numberDecimal": "NaN"},
    {"$numberDecimal": "1E+6144"}, {"$numberDouble": "Infinity"}, {"$uuid": 1}, nested(70), [nested(63)], [[[[]]]], [None], {}, [], "", "\u0000",
    "$where", {"$ref": "x", "$id": 1}, {"": 1}, {"0": 1}, {"a": {"$date": None}}, True, None, {"$each": []}, {"$in": [{}]}, {"$type": "date"},
]  # fmt: skip


async def test_T18_T19_T20_no_value_makes_a_fault_of_ours(world):
    await store(world, count=1, tags=["x"], lines=[{"sku": "s"}], open={"0": {"y": 1}}, free=[1, {"z": [1]}])
    paths = [
        "count",
        "tags",
        "lines.0",
        "lines.0.sku",
        "open",
        "open.x.y",
        "free",
        "amount",
        "at",
        "meta",
        "_id",
        "nothing",
        "free.z",
        ".".join("x" * 32),
    ]
    for n, value in enumerate(HOSTILE):
        for operator in (
            "$set",
            "$inc",
            "$mul",
            "$min",
            "$push",
            "$addToSet",
            "$pull",
            "$rename",
            "$currentDate",
            "$unset",
        ):
            for path in paths[n % 2 :: 2]:
                status, answer = await patch(world, {operator: {path: value}})
                assert status < 500, (operator, path, value, answer)
        for path in ("count", "tags", "open", "free", "meta", "amount", "_id", "_version"):
            status, answer = await patch(world, {path: value})
            assert status < 500, (path, value, answer)
            answer = await world.ask(
                "PUT", f"/notes/a?_replace={'true' if n % 2 else 'false'}", {"title": "t", path: value}, token=ALL
            )
            assert answer.status_code < 500, (path, value, answer.text)
    assert (await world.get("/notes/a", token=ALL)).status_code == 200
