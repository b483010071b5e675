"""An explanation agrees with what the route then does: random policies, callers, documents and actions.

300 cases in each run; LAW_EXPLAINED asks for more.
"""

import os
import re
from collections import Counter
from random import Random

import pytest

from permission_mongo.values import utc_now
from tests.http.harness import a_config, a_token, a_world

pytestmark = pytest.mark.mongo
CASES = int(os.environ.get("LAW_EXPLAINED", "300"))
CASES_A_POLICY = 100
SCHEMA = """
settings: {id_type: string, default_tenant_field: tenant_id, default_owner_field: owner_id, auto_timestamps: false}
collections:
  notes:
    client_ids: true
    versioning: {enabled: true}
    fields:
      tenant_id: {type: string}
      owner_id: {type: string}
      kind: {type: string}
      level: {type: integer}
      tags: {type: array, items: {type: string}}
      secret: {type: string}
  shared:
    client_ids: true
    access: {tenant_field: null, owner_field: null}
    fields: {owner_id: {type: string}, kind: {type: string}, level: {type: integer}, tags: {type: array, items: {type: string}}, secret: {type: string}}
"""
WHENS = (
    "resource.owner_id == user.id",
    "resource.kind == 'x'",
    "resource.kind in ['x', 'y']",
    "resource.kind == user.dept",
    "resource.level > 2",
    "resource.level <= user.level",
    "'red' in resource.tags",
    "has(resource.secret)",
    "!(resource.secret == 'p')",
    "resource.kind == 'x' && resource.level < 3",
    "resource.owner_id == user.id || resource.level == 1",
    "user.dept == 'x'",
    "now < date('2000-01-01') || resource.level != 1",
)
ROLES = ("r0", "r1", "r2", "r3")
NAMES = ("owner_id", "kind", "level", "tags", "secret")
ACTIONS = ("read", "update", "delete", "restore", "purge", "aggregate", "create")


def a_rule(rnd: Random) -> str:
    actions = rnd.sample(ACTIONS, rnd.randrange(1, 6))
    if rnd.random() < 0.7:
        actions = list({*actions, "read"})
    parts = [f"actions: [{', '.join(actions)}]"]
    if rnd.random() < 0.7:
        parts.append(f'when: "{rnd.choice(WHENS)}"')
    if rnd.random() < 0.2:
        parts.append("effect: deny")
        if rnd.random() < 0.3:
            parts.append(f"fields: [{rnd.choice(('secret', 'level'))}]")
    else:
        if rnd.random() < 0.3:
            parts.append(f'check: "{rnd.choice(WHENS[1:])}"')
        if rnd.random() < 0.3:
            parts.append(f"fields: {{allow: [{', '.join(rnd.sample(NAMES, 3))}]}}")
    return f"{{{', '.join(parts)}}}"


def a_policy(rnd: Random) -> str:
    inherits = {role: rnd.sample(ROLES[:n], rnd.randrange(0, min(n, 2) + 1)) for n, role in enumerate(ROLES)}
    lines = ["roles:", "  asker: {system: [explain]}", "  chief: {system: [explain, admin]}"]
    lines += [
        f"  {role}: {{inherits: [{', '.join(parents)}]{', cross_tenant: true' if rnd.random() < 0.1 else ''}}}"
        for role, parents in inherits.items()
    ]
    lines.append("policies:")
    for collection in ("notes", "shared"):
        lines.append(f"  {collection}:")
        for role in ROLES:
            lines.append(f"    {role}: [{', '.join(a_rule(rnd) for _ in range(rnd.randrange(1, 4)))}]")
    return "\n".join(lines)


def a_document(rnd: Random, id_: str, collection: str) -> dict:
    document = {
        "_id": id_,
        "owner_id": rnd.choice(("alice", "bob")),
        "kind": rnd.choice(("x", "y", "z")),
        "level": rnd.randrange(5),
        "tags": rnd.sample(("red", "blue"), rnd.randrange(3)),
        "secret": rnd.choice("pq"),
    }
    for name in rnd.sample(sorted(set(document) - {"_id"}), rnd.randrange(3)):
        document[name] = rnd.choice((None, 3, "x", [1], {"a": 1}))
        if rnd.random() < 0.5:
            del document[name]
    if collection == "notes":
        document |= {"tenant_id": rnd.choice(("acme",) * 5 + ("evil",)), "_version": 1}
        document |= {"_made": {"action": "create", "by": "bob", "at": utc_now()}}
    return document


async def asked_of_the_route(world, action: str, path: str, id_: str, token: str) -> str | None:
    """The code of the refusal, or None; of an aggregation whether the document takes part."""
    count = {"pipeline": [{"$match": {"_id": id_}}, {"$count": "n"}]}
    method, path, body = {
        "read": ("GET", f"{path}/{id_}", None),
        "update": ("PUT", f"{path}/{id_}", {"_id": id_}),
        "delete": ("DELETE", f"{path}/{id_}", None),
        "purge": ("POST", f"{path}/{id_}/purge", {"reason": "asked for"}),
        "restore": ("POST", f"{path}/{id_}/restore/1", {}),
        "aggregate": ("POST", f"{path}/aggregate", count),
    }[action]
    answer = await world.ask(method, path, body, token=token)
    if answer.status_code != 200:
        return answer.json()["error"]["code"]
    return "takes no part" if action == "aggregate" and not answer.json()["data"] else None


def told(explanation: dict) -> str | None:
    assert explanation["allowed"] in (True, False)
    if explanation["allowed"]:
        return None
    code = explanation["refusal"]["code"] if "refusal" in explanation else "takes no part"
    # An aggregation says of no document that it is not there.
    return "takes no part" if (explanation["action"], code) == ("aggregate", "document_not_found") else code


def timeless(text: str) -> str:
    """Without what `now` was."""
    return re.sub(r'"20\d\d-[0-9T:.-]+Z"', "now", text)


async def roles_that_would_do(world, explanation: dict, action: str, case: tuple, seen: Counter) -> None:
    """A role that is named does what is said of it."""
    document, roles, claims = case
    for one in explanation.get("would_change", {}).get("roles", []):
        if action not in ("delete", "purge") and "for" not in one:
            token = a_token("alice", [*roles, one["role"]], "acme", **claims)
            assert await asked_of_the_route(world, action, "/notes", document["_id"], token) is None, one
            seen["by another role"] += 1


async def a_case(world, rnd: Random, number: int, seen: Counter) -> None:
    collection, action = rnd.choice(("notes", "notes", "shared")), rnd.choice(ACTIONS[:-1])
    roles = rnd.sample(ROLES, rnd.randrange(1, 3))
    claims = {"dept": rnd.choice("xyz"), **({"level": 2} if rnd.random() < 0.7 else {})}
    token = a_token("alice", [*roles, "asker"], "acme", **claims)
    document = a_document(rnd, f"n{number}", collection)
    absent = rnd.random() < 0.05
    if not absent:
        await world.database[collection].insert_one(document)
    asked = {"action": action, "collection": collection, "id": document["_id"]}
    answer = await world.post("/_pm/explain", asked, token=token)
    own = answer.json()
    other = {"sub": "alice", "roles": [*roles, "asker"], **claims}
    chief = a_token("carol", ["chief"], "acme")
    looked_after = (await world.post("/_pm/explain", {**asked, "as": other}, token=chief)).json()
    verdict = await asked_of_the_route(world, action, f"/{collection}", document["_id"], token)
    detail = (action, collection, roles, claims, document, own)
    assert told(own) == verdict, detail
    if document.get("tenant_id") == "acme" and not absent:
        assert told(looked_after) == verdict, (detail, looked_after)
        await roles_that_would_do(world, looked_after, action, (document, [*roles, "asker"], claims), seen)
    if own["document"] == "absent":
        never = (await world.post("/_pm/explain", {**asked, "id": "never"}, token=token)).text
        assert timeless(never.replace('"never"', f'"{document["_id"]}"')) == timeless(answer.text)
    seen[verdict or "allowed"] += 1


async def test_an_explanation_agrees_with_the_route(mongo_uri, tmp_path):
    seen: Counter = Counter()
    for seed in range(max(CASES // CASES_A_POLICY, 1)):
        rnd = Random(f"explained/{seed}")
        folder = tmp_path / str(seed)
        folder.mkdir()
        async with a_world(mongo_uri, a_config(folder, schema=SCHEMA, policy=a_policy(rnd))) as world:
            for number in range(min(CASES, CASES_A_POLICY)):
                await a_case(world, rnd, number, seen)
    print(f"\n{seen}")
    assert min(seen["allowed"], seen["forbidden"], seen["document_not_found"]) > CASES // 20
