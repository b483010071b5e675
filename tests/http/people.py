"""A company of people who have managers, and what its hierarchy must be by its documents alone."""

from __future__ import annotations

from pymongo.asynchronous.database import AsyncDatabase

from tests.http.harness import a_token

SCHEMA = """
settings: {id_type: string, default_tenant_field: tenant_id}
collections:
  users:
    client_ids: true
    versioning: {enabled: true}
    hierarchy: {user_id_field: _id, manager_field: manager_id}
    access: {owner_field: null}
    fields:
      tenant_id: {type: string}
      name: {type: string}
      manager_id: {type: string}
  files:
    client_ids: true
    versioning: {enabled: true}
    access: {owner_field: owner_id}
    fields:
      tenant_id: {type: string}
      owner_id: {type: string}
      title: {type: string}
      watchers: {type: array, items: {type: string}}
"""
POLICY = """
roles:
  hr: {system: [admin]}
  clerk: {}
  lead: {}
  direct: {}
  below: {}
  barred: {}
  root: {cross_tenant: true, system: [admin]}
  guest: {cross_tenant: true}
policies:
  users:
    hr:
      - {actions: ["*", purge], check: "true", fields: {reassign: [manager_id]}}
    clerk:
      - {actions: ["*"]}
    root:
      - {actions: ["*"], check: "true", fields: {reassign: [manager_id, tenant_id]}}
  files:
    hr: {actions: ["*"]}
    lead: {actions: ["*"], when: "resource.owner_id == user.id || resource.owner_id in user.$subordinates"}
    direct: {actions: [read], when: "resource.owner_id in user.$directReports"}
    below: {actions: [read], when: "resource.owner_id in user.$ancestors"}
    barred:
      - {actions: [read]}
      - {effect: deny, actions: [read], when: "resource.owner_id in user.$subordinates"}
    root: {actions: ["*"]}
"""
HR = a_token("hera", ["hr"])
CLERK = a_token("carl", ["clerk"])
ROOT = a_token("rhea", ["root"], tenant=None)


# The same by a field of their own, of which tenants may have the same values.
BY_LOGIN = (
    SCHEMA.replace("user_id_field: _id", "user_id_field: login")
    .replace("      name: {type: string}\n", "      name: {type: string}\n      login: {type: string}\n")
    .replace(
        "      manager_id: {type: string}\n",
        "      manager_id: {type: string}\n    indexes: [{fields: [tenant_id, login], unique: true, sparse: true}]\n",
    )
)


def lead(who: str, role: str = "lead", tenant: str = "acme", **claims) -> str:
    return a_token(who, [role], tenant, **claims)


def closure_of(people: dict[object, object]) -> dict[object, list[object]]:
    """Everybody above each, nearest first, by walking: none above who stands in a loop, none behind who is not there."""

    def walk(one):
        chain: list[object] = []
        while people.get(one) in people:
            one = people[one]
            if one in chain:
                return chain
            chain.append(one)
        return chain

    walks = {one: walk(one) for one in people}
    looped = {one for one, chain in walks.items() if one in chain}

    def cut(chain):
        for n, one in enumerate(chain):
            if one in looped:
                return chain[: n + 1]
        return chain

    return {one: [] if one in looped else cut(chain) for one, chain in walks.items()}


async def by_documents(
    database: AsyncDatabase, collection="users", user="_id", manager="manager_id", tenant="tenant_id"
) -> dict[tuple[object, object], list[object]]:
    """What the hierarchy must be."""
    tenants: dict[object, dict[object, object]] = {}
    async for row in database[collection].find():
        if row.get(user) is not None:
            tenants.setdefault(row.get(tenant), {})[row[user]] = row.get(manager)
    return {(one, who): chain for one, people in tenants.items() for who, chain in closure_of(people).items()}


async def by_rows(database: AsyncDatabase) -> dict[tuple[object, object], list[object]]:
    """What the hierarchy is."""
    return {
        (row["_id"]["t"], row["_id"]["u"]): row["up"]
        async for row in database["_pm_hierarchy"].find({"d": {"$exists": True}})
    }


async def require_true(world, user="_id") -> None:
    assert await by_rows(world.database) == await by_documents(world.database, user=user)


async def hire(world, *chain: str, token=HR) -> None:
    """Each one below the one before."""
    above = None
    for one in chain:
        body = {"_id": one, "name": one, **({} if above is None else {"manager_id": above})}
        answer = await world.post("/users", body, token=token)
        assert answer.status_code == 201, answer.text
        above = one


async def move(world, one: str, manager: str | None, token=HR):
    return await world.ask("PATCH", f"/users/{one}", {"manager_id": manager}, token=token)
