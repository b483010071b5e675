"""Requests to the door for callers of the Moorcheh API, on notes, which are texts, and on faces, which are vectors."""

from typing import Any

import httpx

from tests.http.harness import CONFIG, World, a_token

DOOR = f"{CONFIG}doors: [moorcheh]\n"
SCHEMA = """
settings: {id_type: string, default_tenant_field: tenant_id, default_owner_field: owner_id}
collections:
  notes:
    client_ids: true
    versioning: {enabled: true}
    fields:
      tenant_id: {type: string}
      owner_id: {type: string}
      title: {type: string, max_length: 50}
      text: {type: string}
      status: {type: string, enum: [open, closed, locked], default: open}
      ssn: {type: string}
  faces:
    client_ids: true
    versioning: {enabled: true}
    fields:
      tenant_id: {type: string}
      owner_id: {type: string}
      near: {type: vector, dimensions: 3, immutable: true}
      name: {type: string}
      status: {type: string, enum: [open, locked], default: open}
  readers:
    access: {tenant_field: null, owner_field: null}
    fields: {read: {type: vector, dimensions: 2}, name: {type: string}}
  numbered:
    id_type: objectId
    access: {tenant_field: null, owner_field: null}
    fields: {text: {type: string}, metadata: {type: object}}
"""
POLICY = """
roles: {viewer: {}, user: {inherits: [viewer]}, boss: {inherits: [user]}, clerk: {}, nobody: {}, root: {cross_tenant: true}}
policies:
  notes:
    viewer: {actions: [read], when: "resource.status == 'closed'", fields: {allow: [text, status]}}
    user:
      - {actions: [create, read, update, delete, restore], when: "resource.owner_id == user.id", fields: {mask: {ssn: last4}}}
      - {effect: deny, actions: [delete], when: "resource.status == 'locked'"}
    boss: {actions: ["*", purge]}
    clerk: {actions: [create], when: "resource.status == 'open'", fields: {allow: [text, status]}}
  faces:
    viewer: {actions: [read], fields: {allow: [name]}}
    user:
      - {actions: [create, read, update, delete, restore], when: "resource.owner_id == user.id"}
      - {effect: deny, actions: [delete], when: "resource.status == 'locked'"}
    nobody: {actions: [update, delete]}  # without a right to read as well it is a right to nothing
  readers: {clerk: {actions: [read], fields: {allow: [name]}}}
  numbered:
    boss: {actions: ["*"]}
"""


async def act(
    world: World,
    path: str,
    body: Any = None,
    token: str | None = None,
    headers: dict[str, str] | None = None,
    method: str = "POST",
) -> httpx.Response:
    """One request below /namespaces/; by default alice's, a user of acme."""
    return await world.ask(
        method, f"/namespaces/{path}", body, token=a_token() if token is None else token, headers=headers
    )
