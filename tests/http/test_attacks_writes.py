"""Writes that would tell what is hidden, or never end."""

import time

import pytest

from tests.http.harness import a_config, a_token, a_world

pytestmark = pytest.mark.mongo
SCHEMA = """
settings: {id_type: string, default_tenant_field: tenant_id}
collections:
  users:
    client_ids: true
    fields: {tenant_id: {type: string}, open: {type: boolean}}
  tasks:
    client_ids: true
    additional_fields: keep
    fields:
      tenant_id: {type: string}
      title: {type: string}
      texts: {type: array, items: {type: string, max_length: 3}}
      numbers: {type: array, items: {type: integer}}
      owner: {type: string, ref: users}
      helpers: {type: array, items: {type: string, ref: users}}
      hidden: {type: array, min_length: 2, items: {type: string}}
      lines: {type: array, items: {type: object, properties: {sku: {type: string}, by: {type: string, ref: users}}}}
      inner:
        type: object
        properties: {by: {type: string, ref: users}, open: {type: integer}, needed: {type: integer, required: true}}
"""
POLICY = """
roles: {boss: {}, blind: {}, reader: {}}
policies:
  users:
    boss: {actions: ["*"]}
    blind: {actions: [read], when: "resource.open == true"}
  tasks:
    boss: {actions: ["*"]}
    blind:
      - {actions: [read], fields: {allow: [title, inner.open]}}
      - {actions: [update]}
    reader:
      - {actions: [read]}
      - {actions: [update], fields: {allow: [title]}}
"""
BOSS, BLIND, READER = (a_token(role, [role]) for role in ("boss", "blind", "reader"))


@pytest.fixture
async def world(mongo_uri, tmp_path):
    async with a_world(mongo_uri, a_config(tmp_path, schema=SCHEMA, policy=POLICY)) as found:
        people = [{"_id": "ann", "open": True}, {"_id": "shy", "open": False}, {"_id": "sly", "open": False}]
        assert (await found.post("/users/batch", {"documents": people}, token=BOSS)).status_code == 201
        yield found


async def test_t14_many_names_beside_many_errors_end_soon(world):
    names = {f"f{n}": n for n in range(10_000)}
    for role, more in (
        (BOSS, {}),
        (BOSS, {"texts": ["long"] * 10_000}),
        (BOSS, {"numbers": ["x"] * 10_000}),
        (READER, {}),
    ):
        await world.post("/tasks", {"_id": "t", "title": "x"}, token=BOSS)
        body = {name: n + (role is READER) for name, n in names.items()}
        begun = time.perf_counter()
        answer = await world.ask("PUT", "/tasks/t", {**body, **more}, token=role)
        assert time.perf_counter() - begun < 8  # each with each: 40 seconds and more
        assert answer.status_code == (403 if role is READER else 422 if more else 200)
