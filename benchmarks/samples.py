"""What is served and stored while measuring: the configuration, the documents, the caller's token."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from bson.objectid import ObjectId

from permission_mongo.auth.development import make_token
from permission_mongo.versions import made

TENANT: Final = "acme"
CALLER: Final = "alice"
SMALL: Final = "notes"
LARGE: Final = "orders"
_SECRET: Final = "a-secret-of-the-benchmarks-of-32-bytes-and-more"
_MOMENT: Final = datetime(2026, 1, 31, 12, 30)

# Audit is on by default, versions are on, and the pools are named so that the floor can have the same.
MOST_POOLED: Final = 32
LEAST_POOLED: Final = 4
_CONFIG: Final = """
mongodb: {{database: {database}, max_pool_size: {most}, min_pool_size: {least}}}
auth: {{secret: {secret}}}
"""
_SCHEMA: Final = """
settings: {id_type: objectId, default_tenant_field: tenant_id, default_owner_field: owner_id}
collections:
  notes:
    versioning: {enabled: true}
    fields:
      tenant_id: {type: string}
      owner_id: {type: string}
      title: {type: string}
      status: {type: string}
      email: {type: string}
      amount: {type: number}
      at: {type: date}
      tags: {type: array, items: {type: string}}
  orders:
    versioning: {enabled: true}
    fields:
      tenant_id: {type: string}
      owner_id: {type: string}
      title: {type: string}
      status: {type: string}
      email: {type: string}
      body: {type: string}
      at: {type: date}
      lines:
        type: array
        items: {type: object, properties: {sku: {type: string}, quantity: {type: integer}, price: {type: number}}}
"""
# A row filter that depends on the caller, and one masked field: every answer passes the field rules.
_POLICY: Final = """
roles: {clerk: {}}
policies:
  notes:
    clerk: {actions: [read, delete], when: resource.owner_id == user.id, fields: {mask: {email: email}}}
  orders:
    clerk: {actions: [read, delete], when: resource.owner_id == user.id, fields: {mask: {email: email}}}
"""


def write_config(folder: Path, database: str) -> Path:
    """The folder, with a configuration in it."""
    folder.mkdir()
    config = _CONFIG.format(database=database, secret=_SECRET, most=MOST_POOLED, least=LEAST_POOLED)
    for name, text in (("config.yaml", config), ("schema.yml", _SCHEMA), ("policy.yml", _POLICY)):
        (folder / name).write_text(text)
    return folder


def caller_token() -> str:
    return make_token(_SECRET, "HS256", CALLER, ["clerk"], int(time.time()) + 24 * 3600, {"tenant_id": TENANT})


def _marked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """As the gateway stores what its caller created."""
    marks = {"_version": 1, "_made": made("create", CALLER, _MOMENT, None, None)}
    return {"_id": ObjectId(), **marks, "tenant_id": TENANT, "owner_id": CALLER, **fields}


def small_document(number: int) -> dict[str, Any]:
    """About 300 bytes as stored."""
    named = {"title": f"the note with number {number:06}", "status": "open", "email": "alice@example.org"}
    return _marked({**named, "amount": number * 1.5, "at": _MOMENT, "tags": ["first", "second", "third"]})


def large_document(number: int) -> dict[str, Any]:
    """About 2 KB as stored, in some 80 values."""
    named = {"title": f"order {number:06}", "status": "open", "email": "alice@example.org"}
    lines = [{"sku": f"article-{n:04}", "quantity": n, "price": n * 1.25} for n in range(18)]
    return _marked({**named, "body": "some words about it " * 34, "at": _MOMENT, "lines": lines})


MAKERS: Final[Mapping[str, Callable[[int], dict[str, Any]]]] = {SMALL: small_document, LARGE: large_document}
