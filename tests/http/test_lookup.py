"""`$lookup`: only rows that the caller may read over there are joined, with the fields that the pipeline names."""

import pytest

from tests.http.harness import CONFIG, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
SCHEMA = """
settings: {id_type: string, default_tenant_field: tenant_id}
collections:
  customers:
    client_ids: true
    fields:
      tenant_id: {type: string}
      name: {type: string}
      code: {type: string}
      codes: {type: array, items: {type: string}}
      secret: {type: string}
  orders:
    client_ids: true
    fields:
      tenant_id: {type: string}
      customer: {type: string}
      total: {type: integer}
      at: {type: date}
      status: {type: string}
      margin: {type: integer}
      lines: {type: array, items: {type: object, properties: {sku: {type: string}, cost: {type: integer}}}}
  vault:
    client_ids: true
    fields: {tenant_id: {type: string}, customer: {type: string}}
"""
POLICY = """
roles: {boss: {}, clerk: {}, mixed: {}}
policies:
  customers:
    boss: {actions: ["*"]}
    clerk: {actions: [read, aggregate], fields: {deny: [secret]}}
    mixed: {actions: [read, aggregate]}
  orders:
    boss: {actions: ["*"]}
    clerk: {actions: [read], when: "resource.status == 'open'", fields: {deny: [margin, lines.cost]}}
    mixed:
      - {actions: [read], when: "resource.status == 'open'"}
      - {actions: [read], when: "resource.status == 'closed'", fields: {allow: [customer, total]}}
  vault:
    boss: {actions: ["*"]}
"""
BOSS, CLERK, MIXED = a_token("boss", ["boss"]), a_token("carl", ["clerk"]), a_token("mia", ["mixed"])
CUSTOMERS = [
    {"_id": "c1", "name": "Ann", "code": "k1", "secret": "s1"},
    {"_id": "c2", "name": "Bob", "codes": ["k1", "k2"], "secret": "s2"},
    {"_id": "c3", "name": "Cid"},
]
ORDERS = [
    {
        "_id": "o1",
        "customer": "k1",
        "total": 10,
        "status": "open",
        "margin": 1,
        "at": "2026-01-31",
        "lines": [{"sku": "p", "cost": 1}],
    },
    {"_id": "o2", "customer": "k1", "total": 20, "status": "closed", "margin": 2},
    {"_id": "o3", "customer": "k2", "total": 40, "status": "open", "margin": 3},
    {"_id": "o4", "total": 80, "status": "open"},
    {"_id": "o5", "total": 160, "status": "closed"},
]
NOT_YOURS = (403, "forbidden", "unknown or not permitted field")


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_kept_world(mongo_uri, a_config(tmp_path, CONFIG, SCHEMA, POLICY)) as found:
        for name, documents in (
            ("customers", CUSTOMERS),
            ("orders", ORDERS),
            ("vault", [{"_id": "v", "customer": "k1"}]),
        ):
            made = await found.post(f"/{name}/batch", {"documents": documents}, token=BOSS)
            assert made.status_code == 201, made.text
        await found.database["orders"].insert_many(
            [
                {"_id": "e1", "tenant_id": "evil", "customer": "k1", "total": 1000, "status": "open"},
                {"_id": "e2", "tenant_id": "evil", "total": 2000, "status": "open"},
            ]
        )
        yield found


def join(local="code", foreign="customer", name="orders", source="orders"):
    return {"$lookup": {"from": source, "localField": local, "foreignField": foreign, "as": name}}


async def ask(world, *stages, token=CLERK):
    return await world.post("/customers/aggregate", {"pipeline": list(stages)}, token=token)


async def rows(world, *stages, token=CLERK):
    answer = await ask(world, *stages, token=token)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def told(answer):
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["message"]


BY_ID = {"$sort": {"_id": 1}}
TOTALS = {"$project": {"ids": "$orders._id", "totals": "$orders.total", "n": {"$size": "$orders"}}}


async def test_a9_a10_rows_out_of_reach_never_join_nor_count(world):
    """Neither by value, nor through a list, nor where both fields are missing, which MongoDB takes as equal."""
    for index in (None, "customer", "total"):
        if index:
            await world.database["orders"].create_index(index)
        assert await rows(world, join(), TOTALS, BY_ID) == [
            {"_id": "c1", "ids": ["o1"], "totals": [10], "n": 1},
            {"_id": "c2", "ids": ["o4"], "totals": [80], "n": 1},
            {"_id": "c3", "ids": ["o4"], "totals": [80], "n": 1},
        ]
        listed = await rows(world, join("codes"), TOTALS, {"$match": {"_id": "c2"}})
        assert [sorted(one["ids"]) for one in listed] == [["o1", "o3"]]
        all_of_them = await rows(world, join(), TOTALS, BY_ID, token=BOSS)
        assert [sorted(one["ids"]) for one in all_of_them] == [["o1", "o2"], ["o4", "o5"], ["o4", "o5"]]


async def test_a10_rows_in_which_a_named_field_is_hidden_do_not_join(world):
    counted = {"$project": {"n": {"$size": "$orders._id"}}}
    assert await rows(world, join(), {"$match": {"_id": "c1"}}, counted, token=MIXED) == [{"_id": "c1", "n": 2}]
    asked = [join(), {"$match": {"_id": "c1"}}, {"$project": {"m": "$orders.margin"}}]
    assert await rows(world, *asked, token=MIXED) == [{"_id": "c1", "m": [1]}]
    for condition in ({"orders.margin": {"$gt": 0}}, {"orders": {"$elemMatch": {"margin": {"$gt": 0}}}}):
        used = [join(), {"$match": condition}, {"$project": {"t": "$orders.total"}}, BY_ID]
        assert await rows(world, *used, token=MIXED) == [{"_id": "c1", "t": [10]}]
    assert await rows(world, join(foreign="at"), {"$project": {"t": "$orders.total"}}, BY_ID, token=MIXED) == [
        {"_id": one, "t": [40, 80] if one != "c1" else []} for one in ("c1", "c2", "c3")
    ]


@pytest.mark.parametrize("hidden", ["margin", "lines.cost", "lines", "nothing", "_made", "lines.0.cost"])
async def test_a10_a_hidden_and_an_unknown_field_over_there_get_one_refusal(world, hidden):
    shown = {"$project": {"t": "$orders.total"}}
    for stages in (
        [join(foreign=hidden), shown],
        [join(), {"$project": {"x": f"$orders.{hidden}"}}],
        [join(), {"$project": {f"orders.{hidden}": 1}}],
        [join(), {"$match": {f"orders.{hidden}": 1}}, shown],
        [join(), {"$match": {f"orders.0.{hidden}": 1}}, shown],
        [join(), {"$match": {"orders": {"$elemMatch": {hidden: {"$gt": 1}}}}}, shown],
        [join(), {"$sort": {f"orders.{hidden}": 1}}, shown],
        [join(), {"$unwind": "$orders"}, {"$group": {"_id": f"$orders.{hidden}"}}],
        [join(), {"$project": {"x": {"$map": {"input": "$orders", "as": "o", "in": f"$$o.{hidden}"}}}}],
        [join(), {"$project": {"x": {"$let": {"vars": {"o": "$orders"}, "in": {"$max": f"$$o.{hidden}"}}}}}],
        [join(), {"$facet": {"a": [{"$group": {"_id": f"$orders.{hidden}"}}]}}],
    ):
        answer = await ask(world, *stages)
        assert told(answer) == NOT_YOURS, stages
        assert answer.json()["error"]["details"]["collection"] == "orders"


async def test_a10_a_collection_that_the_caller_may_not_read_is_forbidden(world):
    answer = await ask(world, join(source="vault"), {"$project": {"x": "$orders._id"}})
    assert (answer.status_code, answer.json()["error"]["details"]) == (403, {"action": "read", "collection": "vault"})
    for name in (
        "nothing",
        "_pm_versions",
        "_pm_audit",
        "system.users",
        "ORDERS",
        "",
        "orders\x00",
        "admin.orders",
        "$cmd",
    ):
        answer = await ask(world, join(source=name), {"$project": {"x": "$orders._id"}})
        if "\x00" in name:
            assert answer.status_code == 400  # told of the text, wherever it stands
        else:
            assert told(answer) == (404, "collection_not_found", "no such collection"), name


async def test_a10_a_hidden_local_field_is_refused(world):
    for hidden in ("secret", "nothing", "_made"):
        assert told(await ask(world, join(hidden), {"$project": {"x": "$orders._id"}})) == NOT_YOURS


async def test_only_the_fields_that_are_named_are_joined(world):
    whole = [join(), {"$match": {"_id": "c1", "orders.total": 10}}, {"$project": {"orders": 1}}]
    assert await rows(world, *whole) == [{"_id": "c1", "orders": [{"_id": "o1", "total": 10}]}]
    renamed = [join(), {"$match": {"_id": "c1", "orders.total": 10}}, {"$project": {"x": "$orders"}}]
    assert await rows(world, *renamed) == [{"_id": "c1", "x": [{"_id": "o1", "total": 10}]}]
    aliased = [*renamed, {"$project": {"m": "$x.margin", "t": "$x.total"}}]
    assert await rows(world, *aliased) == [{"_id": "c1", "m": [], "t": [10]}]
    for stages in (
        [join(), {"$project": {"orders": 1}}],
        [join(), {"$project": {"n": {"$size": "$orders"}}}],
        [join(), {"$count": "n"}],
    ):
        answer = await ask(world, *stages)
        assert (answer.status_code, "name the fields of 'orders'" in answer.text) == (400, True)


async def test_joined_values_are_read_by_the_type_of_their_own_collection(world):
    asked = [join(), {"$match": {"orders.at": "2026-01-31"}}, {"$project": {"t": "$orders.total"}}]
    assert await rows(world, *asked) == [{"_id": "c1", "t": [10]}]
    wrong = await ask(world, join(), {"$match": {"orders.at": "soon"}}, {"$project": {"t": "$orders.total"}})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "bad_request")


async def test_a_join_over_a_stored_name_hides_it_and_frees_nothing(world):
    over = [join(name="secret"), {"$match": {"_id": "c1"}}, {"$project": {"t": "$secret.total"}}]
    assert await rows(world, *over) == [{"_id": "c1", "t": [10]}]
    tenant = [join(name="tenant_id"), {"$match": {"_id": "c1"}}, {"$project": {"t": "$tenant_id.total"}}]
    assert await rows(world, *tenant) == [{"_id": "c1", "t": [10]}]
    before = [{"$project": {"s": "$secret", "orders": 1}}, join(name="secret"), {"$project": {"t": "$secret.total"}}]
    assert told(await ask(world, *before)) == NOT_YOURS


async def test_a_second_join_and_one_on_what_was_joined(world):
    twice = [
        join(),
        {"$unwind": "$orders"},
        join("orders.customer", "code", "back", "customers"),
        {"$project": {"_id": 0, "o": "$orders._id", "who": "$back.name"}},
        {"$match": {"o": "o1"}},
    ]
    assert await rows(world, *twice) == [{"o": "o1", "who": ["Ann"]}]
    assert (
        told(await ask(world, join(), join("orders.margin", "code", "b", "customers"), {"$project": {"x": "$b.name"}}))
        == NOT_YOURS
    )
    hidden = [join("code", "code", "back", "customers"), {"$project": {"x": "$back.secret"}}]
    assert told(await ask(world, *hidden)) == NOT_YOURS


@pytest.mark.parametrize(
    "spec",
    [
        None,
        [],
        {},
        {"from": "orders", "as": "o", "pipeline": []},
        {"from": "orders", "localField": "code", "foreignField": "customer"},
        {"from": "orders", "localField": "code", "foreignField": "customer", "as": "o", "let": {}},
        {"from": "orders", "localField": "code", "foreignField": "customer", "as": "o", "pipeline": []},
        {"from": {"db": "admin", "coll": "x"}, "localField": "code", "foreignField": "customer", "as": "o"},
        {"from": "orders", "localField": "$code", "foreignField": "customer", "as": "o"},
        {"from": "orders", "localField": "code", "foreignField": "", "as": "o"},
        {"from": "orders", "localField": "code", "foreignField": "customer", "as": "_id"},
        {"from": "orders", "localField": "code", "foreignField": "customer", "as": "a.b"},
        {"from": "orders", "localField": "code", "foreignField": "customer", "as": "$o"},
    ],
)
async def test_a9_t9_no_other_form_of_lookup_is_taken(world, spec):
    for token in (CLERK, BOSS):
        answer = await ask(world, {"$lookup": spec}, {"$project": {"x": "$o.total"}}, token=token)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


async def test_a9_a_lookup_inside_a_facet_is_refused(world):
    answer = await ask(world, {"$facet": {"a": [join(), {"$project": {"t": "$orders.total"}}]}}, token=BOSS)
    assert (answer.status_code, answer.json()["error"]["details"]) == (400, {"stage": "$lookup"})


async def test_t11_hostile_rows_over_there_and_out_of_reach_do_not_show(world):
    """Two worlds: byte-equal answers, errors included, whatever rows and values lie beyond the caller's reach."""
    asked = [
        [join(), TOTALS, BY_ID],
        [join("codes"), {"$project": {"x": {"$divide": [1, {"$sum": "$orders.total"}]}}}, BY_ID],
        [
            join(),
            {"$unwind": "$orders"},
            {"$match": {"orders.total": {"$gt": 5}}},
            {"$project": {"x": {"$add": ["$orders.total", 1]}}},
            BY_ID,
        ],
        [
            join(),
            {"$unwind": "$orders"},
            {"$group": {"_id": None, "n": {"$sum": 1}, "x": {"$max": {"$ln": "$orders.total"}}}},
        ],
    ]
    before = [(await ask(world, *stages)).content for stages in asked]
    hostile = [
        {"tenant_id": "evil", "customer": "k1", "status": "open", "total": 0},
        {"tenant_id": "acme", "customer": "k1", "status": "closed", "total": "text"},
        {"tenant_id": "acme", "customer": ["k1", "k2"], "status": ["open"], "total": {}},
        {"tenant_id": "acme", "status": None, "total": -1},
        {"tenant_id": None, "customer": "k2", "status": "open", "total": 0},
    ]
    await world.database["orders"].insert_many([{"_id": f"h{n}", **one} for n, one in enumerate(hostile)])
    assert [(await ask(world, *stages)).content for stages in asked] == before
    await world.database["orders"].update_many(
        {"_id": {"$in": ["o1", "o3", "o4"]}}, {"$set": {"margin": {"x": "CANARY"}, "lines": 5}}
    )
    assert [(await ask(world, *stages)).content for stages in asked] == before
