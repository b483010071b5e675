"""The description of the routes: whole for who may do everything, and silent of what somebody does not see."""

import json
import re

import jsonschema
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31

from permission_mongo.api.errors import STATUS
from permission_mongo.api.routes import METRICS, ROUTES
from permission_mongo.openapi.audience import everybody, nobody
from permission_mongo.openapi.document import description
from permission_mongo.openapi.refusals import CODES
from permission_mongo.values import write_json
from tests.http.harness import CONFIG, SECRET, a_config, a_token, a_world

pytestmark = pytest.mark.mongo
PUBLIC = "openapi: {public: true}\n"
# Names that begin with `hid` are nothing to the clerk; `secret` nothing to anybody but the keeper.
SCHEMA = """
settings: {id_type: string, default_tenant_field: hid_tenant, default_owner_field: hid_owner}
collections:
  letters:
    client_ids: true
    versioning: {enabled: true}
    fields:
      hid_tenant: {type: string}
      hid_owner: {type: string}
      title: {type: string, required: true, max_length: 50}
      weight: {type: integer, min: 1, max: 9}
      state: {type: string, enum: [open, closed], default: open}
      phone: {type: string, pattern: "^[0-9]+$"}
      price: {type: decimal}
      sent: {type: date}
      hid_note: {type: string, enum: [hidden_word]}
      parts: {type: array, items: {type: object, properties: {name: {type: string}, hid_size: {type: integer}}}}
      hid_pay: {type: object, properties: {hid_month: {type: number}}}
      about: {type: string, ref: hidings}
      hid_sum: {type: integer, computed: {$strLenCP: $hid_note}}
      length: {type: integer, computed: {$strLenCP: $title}}
      reply: {type: object}
      hid_scan: {type: blob}
      near: {type: vector, dimensions: 2}
  hidings: {client_ids: true, access: {tenant_field: null, owner_field: null}, fields: {hid_all: {type: string}, about: {type: string}}}
  simple: {id_type: objectId, access: {tenant_field: null, owner_field: null}, fields: {name: {type: string}}}
"""
CLERK = "title, weight, state, phone, price, sent, parts.name, about, length, reply, near"
POLICY = f"""
roles:
  clerk: {{}}
  reader: {{}}
  writer: {{}}
  heir: {{inherits: [keeper]}}
  keeper: {{cross_tenant: true, system: [explain, audit, admin, policy_write]}}
policies:
  letters:
    clerk:
      - {{actions: [read, update, delete], fields: {{allow: [{CLERK}], mask: {{phone: last4}}, deny_write: [state]}}}}
    reader: {{actions: [read], when: "resource.state == 'open'", fields: {{allow: [title]}}}}
    writer: {{actions: [create], fields: {{allow: [title, weight]}}}}
    keeper: {{actions: ["*", purge]}}
  hidings:
    keeper: {{actions: ["*", purge]}}
  simple:
    keeper: {{actions: ["*", purge]}}
"""
KEEPER = a_token("keeper", ["keeper"])
CLERKS, READERS, WRITERS = (a_token("alice", [role]) for role in ("clerk", "reader", "writer"))
WRITABLE = CONFIG + "console: {write: true}\n"


@pytest.fixture(scope="module")
async def letters(mongo_uri, tmp_path_factory):
    config = a_config(tmp_path_factory.mktemp("letters"), WRITABLE, SCHEMA, POLICY)
    async with a_world(mongo_uri, config) as world:
        yield world


async def described(world, token=None):
    """As somebody is told; without a token as who shows no credential."""
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    answer = await world.client.get("/_pm/openapi.json", headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    return answer.json()


def operations(document):
    return {(method.upper(), path): one for path, found in document["paths"].items() for method, one in found.items()}


def references(shape):
    if isinstance(shape, dict):
        if isinstance(shape.get("$ref"), str):
            yield shape["$ref"]
        for inner in shape.values():
            yield from references(inner)
    elif isinstance(shape, list):
        for inner in shape:
            yield from references(inner)


def checker(document, name):
    """Validates by a schema of the components."""
    whole = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return jsonschema.Draft202012Validator(whole)


def fits(document, name, value):
    return checker(document, name).is_valid(value)


# -- all of it


async def test_every_route_of_the_app_is_described_to_who_may_do_everything_and_no_other(letters):
    told = {
        (method, path.replace("/letters", "/{collection}"))
        for method, path in operations(await described(letters, KEEPER))
    }
    told = {(method, path) for method, path in told if not path.startswith(("/hidings", "/simple"))}
    assert told == {(method, path) for method, path, _ in (METRICS, *ROUTES)}


async def test_who_shows_no_credential_is_told_every_route_and_no_name(letters):
    document = await described(letters)
    assert set(operations(document)) == {(method, path) for method, path, _ in (METRICS, *ROUTES)}
    text = json.dumps(document)
    for word in ("letters", "hidings", "simple", "hid_", "weight", "clerk", "keeper", "hidden_word"):
        assert word not in text
    assert document == json.loads(write_json(description(nobody(letters.gateway.config))))


async def test_all_is_public_where_that_is_chosen(mongo_uri, tmp_path):
    async with a_world(mongo_uri, a_config(tmp_path, WRITABLE + PUBLIC, SCHEMA, POLICY)) as world:
        document = await described(world)
        assert document == json.loads(write_json(description(everybody(world.gateway.config))))
        assert "hid_note" in document["components"]["schemas"]["letters.Document"]["properties"]
        assert "hid_note" not in json.dumps(await described(world, CLERKS))


@pytest.mark.parametrize(
    "token", [None, KEEPER, CLERKS, READERS, WRITERS], ids=["nobody", "keeper", "clerk", "reader", "writer"]
)
async def test_a_description_is_valid_openapi_whose_references_lead_somewhere(letters, token):
    document = await described(letters, token)
    jsonschema.validate(document, OPENAPI_31, cls=jsonschema.Draft202012Validator)
    named = set(references(document))
    for name in named:
        _, _, kind, key = name.split("/")
        assert key in document["components"][kind], name
    kept = {f"#/components/{kind}/{key}" for kind, some in document["components"].items() for key in some}
    assert {one for one in kept - named if "/securitySchemes/" not in one} == set()
    for shape in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(shape)
    ids = [one["operationId"] for one in operations(document).values()]
    assert len(ids) == len(set(ids))
    tags = {tag["name"] for tag in document["tags"]}
    assert {tag for one in operations(document).values() for tag in one["tags"]} <= tags


def test_the_codes_are_those_that_are_answered():
    assert {code: status for code, (status, _) in CODES.items()} == STATUS


async def test_every_operation_tells_who_asks_and_what_may_go_wrong(letters):
    for (method, path), one in operations(await described(letters, KEEPER)).items():
        statuses = set(one["responses"])
        assert statuses & {"200", "201"}, (method, path)
        if one.get("security") != []:
            assert {"400", "401", "403", "429", "500", "503", "504"} <= statuses, (method, path)
        if "requestBody" in one:
            assert {"413", "415"} <= statuses, (method, path)
        in_path = {p["name"] for p in one["parameters"] if p.get("in") == "path"}
        in_path |= {
            ref.split("/")[-1] for p in one["parameters"] if (ref := p.get("$ref")) and ref.split("/")[-1] in path
        }
        assert set(re.findall(r"{(\w+)}", path)) <= in_path, (method, path)


# -- what is kept back


async def test_a_clerk_is_told_no_word_of_what_it_does_not_see(letters):
    for token in (CLERKS, READERS, WRITERS, a_token("alice", []), a_token("alice", ["nobody"])):
        text = json.dumps(await described(letters, token))
        for word in ("hid_", "hidden_word", "hidings", "simple", "keeper"):
            assert word not in text, word
    assert "hid_note" in json.dumps(await described(letters, KEEPER))


async def test_who_has_a_role_by_inheritance_has_its_rows_and_none_of_its_system_rights(letters):
    paths = (await described(letters, a_token("heir", ["heir"])))["paths"]
    assert "/hidings" in paths
    assert not {"/_pm/explain", "/_pm/audit", "/_pm/policy", "/_pm/policy/check"} & set(paths)


async def test_only_the_callers_actions_and_rights_are_told(letters):
    document = await described(letters, READERS)
    mine = {(method, path) for method, path in operations(document) if path.startswith("/letters")}
    assert {path for method, path in mine if method != "GET"} == {
        f"/letters/{part}" for part in ("query", "count", "batch/get")
    }
    assert ("GET", "/letters/deleted") not in mine
    assert set(document["components"]["schemas"]["letters.Document"]["properties"]) == {"_id", "_version", "title"}
    creating = operations(await described(letters, WRITERS))
    assert {(m, p) for m, p in creating if p.startswith("/letters")} == {
        ("POST", "/letters"),
        ("POST", "/letters/batch"),
    }
    nothing = operations(await described(letters, a_token("alice", ["nobody"])))
    assert {path for _, path in nothing} == {
        "/health",
        "/ready",
        "/metrics",
        "/_pm/openapi.json",
        "/_pm/blobs/{token}",
        "/_pm/me",
        "/_pm/jobs",
        "/_pm/jobs/{job}",
        "/_pm/jobs/{job}/cancel",
    }


async def test_only_the_callers_fields_may_be_sent_filtered_and_sorted(letters):
    document = await described(letters, CLERKS)
    schemas = document["components"]["schemas"]
    fields = {"title", "weight", "phone", "price", "sent", "parts", "about", "reply", "near"}
    assert set(schemas["letters.Put"]["properties"]) == fields
    assert set(schemas["letters.Patch"]["properties"]) == fields
    assert "letters.New" not in schemas
    asked = set(schemas["letters.Filter"]["properties"]) - {"_id", "_version", "$and", "$or", "$nor"}
    assert asked == {"title", "weight", "state", "price", "sent", "parts.name", "about", "length", "reply", "near"}
    assert "length" not in schemas["letters.StoredFilter"]["properties"]
    parameters = {one.get("name") for one in document["paths"]["/letters"]["get"]["parameters"]}
    assert {"title", "weight", "parts.name"} <= parameters
    assert not {"phone", "reply", "hid_note"} & parameters
    assert schemas["letters.Document"]["properties"]["phone"]["description"] == "shown as a mask (last4)"
    assert "pattern" not in json.dumps(schemas["letters.Document"]["properties"]["phone"])
    assert schemas["letters.Document"]["properties"]["about"]["description"] == "the id of a document"


async def test_a_route_that_a_collection_never_has_is_not_told_of_it(letters):
    paths = (await described(letters, KEEPER))["paths"]
    assert "/letters/{id}/versions" in paths
    assert not {path for path in paths if path.startswith("/simple") and ("version" in path or "deleted" in path)}
    assert not any("as_of" in str(one) for one in paths["/simple"]["get"]["parameters"])


# -- what is said is so


async def test_what_is_answered_and_read_is_what_the_schemas_say(letters):
    await letters.post("/hidings", {"_id": "x"}, token=KEEPER)
    document = await described(letters, KEEPER)
    sent = {
        "_id": "a",
        "title": "t",
        "weight": 3,
        "phone": "12345678",
        "price": "1.50",
        "sent": "2026-01-31",
        "parts": [{"name": "p"}],
        "reply": {"a": [1]},
        "near": [1, {"$numberDouble": "0.5"}],
    }
    assert fits(document, "letters.New", sent)
    made = await letters.post("/letters", sent, token=KEEPER)
    assert made.status_code == 201
    checker(document, "letters.Document").validate(made.json())
    seen = (await letters.get("/letters/a", token=CLERKS)).json()
    checker(await described(letters, CLERKS), "letters.Document").validate(seen)
    assert seen["phone"] == "***5678"
    for wrong in ({}, {"title": None}, {"title": "t" * 51}, {"title": "t", "weight": 10}, {"title": "t", "weight": "3"}, {"title": "t", "state": "none"}, {"title": "t", "phone": "x"}, {"title": "t", "price": "x"}, {"title": "t", "sent": 5}, {"title": "t", "parts": [{"no": 1}]}, {"title": "t", "no": 1}, {"title": "t", "length": 1}, {"title": "t", "near": [1]}, {"title": "t", "near": [1, "2"]}, {"_id": "batch", "title": "t"}, {"title": "t", "reply": {"$x": 1}}):  # fmt: skip
        assert not fits(document, "letters.New", wrong), wrong
        refused = await letters.post("/letters", wrong, token=KEEPER)
        assert refused.status_code in (403, 422), wrong
        checker(document, "Error").validate(refused.json()["error"])


async def test_one_audience_has_one_description(letters):
    """It costs some milliseconds to make: who has the same is told the same, without it being made again."""
    before = description.cache_info()
    for name in ("ann", "bob", "cid"):
        await described(letters, a_token(name, ["clerk"]))
    assert description.cache_info().misses <= before.misses + 1
    assert SECRET not in json.dumps(await described(letters, KEEPER))


async def test_what_is_not_known_is_refused(letters):
    for path in ("/_pm/openapi.json?as=bob", "/_pm/openapi.json?_limit=1"):
        assert (await letters.client.get(path)).status_code == 400
        assert (await letters.get(path, token=KEEPER)).status_code == 400
    keyed = await letters.get("/_pm/openapi.json", token=KEEPER, headers={"idempotency-key": "k"})
    assert keyed.status_code == 400
    tagged = await letters.get("/_pm/openapi.json", token=KEEPER, headers={"if-none-match": "*"})
    assert tagged.status_code == 400
