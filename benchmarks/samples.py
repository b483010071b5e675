"""What is served and stored while measuring: the configuration, the documents, the caller's token."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from bson.objectid import ObjectId

from permission_mongo.auth.development import make_token
from permission_mongo.versions import made

TENANT: Final = "acme"
CALLER: Final = "alice"
SMALL: Final = "notes"
LARGE: Final = "orders"
DRAFTS: Final = "drafts"  # like notes, without versions
DEEP: Final = "entries"  # many, and small
_SECRET: Final = "a-secret-of-the-benchmarks-of-32-bytes-and-more"
_PART: Final = 10_000
_MOMENT: Final = datetime(2026, 1, 31, 12, 30)

# Audit is on by default, versions are on, and the pools are named so that the floor can have the same.
MOST_POOLED: Final = 32
LEAST_POOLED: Final = 4
_CONFIG: Final = """
mongodb: {{database: {database}, max_pool_size: {most}, min_pool_size: {least}}}
auth: {{secret: {secret}}}
audit: {{enabled: {audit}, seal: {seal}}}
"""
_NOTE: Final = """
      tenant_id: {type: string}
      owner_id: {type: string}
      title: {type: string}
      status: {type: string}
      email: {type: string}
      amount: {type: number}
      at: {type: date}
      tags: {type: array, items: {type: string}}"""
SCHEMA: Final = """
settings: {id_type: objectId, default_tenant_field: tenant_id, default_owner_field: owner_id}
collections:
  notes:
    versioning: {enabled: true}
    fields: NOTE
  drafts:
    fields: NOTE
  entries:
    fields: {tenant_id: {type: string}, owner_id: {type: string}, at: {type: date}, number: {type: integer}}
    indexes: [{fields: [tenant_id, at, _id]}]
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
""".replace(" NOTE", _NOTE)
# A row filter that depends on the caller, and one masked field: every answer passes the field rules.
_POLICY: Final = """
roles: {clerk: {}}
policies:
  notes:
    clerk: {actions: [create, read, update, delete], when: resource.owner_id == user.id, fields: {mask: {email: email}}}
  drafts:
    clerk: {actions: [create, read], when: resource.owner_id == user.id, fields: {mask: {email: email}}}
  entries:
    clerk: {actions: [read], when: resource.owner_id == user.id}
  orders:
    clerk: {actions: [read, delete], when: resource.owner_id == user.id, fields: {mask: {email: email}}}
"""


def write_config(
    folder: Path,
    database: str,
    *,
    audit: bool = True,
    seal: bool = True,
    policy: str = _POLICY,
    schema: str = SCHEMA,
) -> Path:
    """The folder, with a configuration in it."""
    folder.mkdir()
    named = {"database": database, "secret": _SECRET, "most": MOST_POOLED, "least": LEAST_POOLED}
    config = _CONFIG.format(**named, audit=str(audit).lower(), seal=str(seal).lower())
    for name, text in (("config.yaml", config), ("schema.yml", schema), ("policy.yml", policy)):
        (folder / name).write_text(text)
    return folder


def caller_token(seat: int = 0, roles: Sequence[str] = ("clerk",), who: str = CALLER) -> str:
    """The same person with the same rights, where no other is named.

    Each seat is a credential of its own, and so a caller of its own.
    """
    claims = {"tenant_id": TENANT, "seat": seat}
    return make_token(_SECRET, "HS256", who, roles, int(time.time()) + 24 * 3600, claims)


def policy_of(rules: int) -> str:
    """A policy of so many rules on the small documents, each of a role of its own and with a condition of its own.

    Every role reads what its caller owns, whichever of them the caller has.
    """
    roles = ["clerk", *(f"clerk{n}" for n in range(1, rules))]
    own = "resource.owner_id == user.id"
    told = [f"{{actions: [read], when: \"{own} && resource.status != 's{n}'\"}}" for n in range(rules)]
    lines = [f"    {role}: {rule}" for role, rule in zip(roles, told, strict=True)]
    return "\n".join(
        [f"roles: {{{', '.join(f'{role}: {{}}' for role in roles)}}}", "policies:", "  notes:", *lines, ""]
    )


PEOPLE: Final = "people"
# The smallest has the caller of the others among those below, and each larger one the one before.
BOSSES: Final[Mapping[int, str]] = {10: "boss10", 100: "boss100", 1000: "boss1000"}
SCHEMA_OF_PEOPLE: Final = f"""{SCHEMA}  {PEOPLE}:
    hierarchy: {{user_id_field: name, manager_field: boss}}
    fields: {{tenant_id: {{type: string}}, name: {{type: string}}, boss: {{type: string}}}}
    indexes: [{{fields: [tenant_id, name], unique: true}}]
"""
POLICY_OF_PEOPLE: Final = """
roles: {chief: {}}
policies:
  notes:
    chief: {actions: [read], when: resource.owner_id in user.$subordinates, fields: {mask: {email: email}}}
"""


def people() -> list[dict[str, Any]]:
    """So many below each boss as its number says."""
    found: list[dict[str, Any]] = []
    below = CALLER
    for count, boss in BOSSES.items():
        found.append({"name": below, "boss": boss})
        found += [{"name": f"{boss}-{n}", "boss": boss} for n in range(count - len(found))]
        below = boss
    found.append({"name": below})
    return [{"_id": ObjectId(), "tenant_id": TENANT, **one} for one in found]


def _marked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """As the gateway stores what its caller created."""
    marks = {"_version": 1, "_made": made("create", CALLER, _MOMENT, None, None)}
    return {"_id": ObjectId(), **marks, "tenant_id": TENANT, "owner_id": CALLER, **fields}


def small_document(number: int) -> dict[str, Any]:
    """About 300 bytes as stored."""
    named = {"title": f"the note with number {number:06}", "status": "open", "email": "alice@example.org"}
    return _marked({**named, "amount": number * 1.5, "at": _MOMENT, "tags": ["first", "second", "third"]})


def sent_document() -> dict[str, Any]:
    """What a caller sends to create a small one."""
    named = {"title": "the note with a number", "status": "open", "email": "alice@example.org"}
    return {**named, "amount": 1.5, "at": "2026-01-31T12:30:00Z", "tags": ["first", "second", "third"]}


def deep_documents(count: int) -> Iterator[list[dict[str, Any]]]:
    """Small documents, in parts to insert."""
    about = {"tenant_id": TENANT, "owner_id": CALLER}
    for start in range(0, count, _PART):
        numbers = range(start, min(start + _PART, count))
        yield [{**about, "at": _MOMENT + timedelta(seconds=n), "number": n} for n in numbers]


def large_document(number: int) -> dict[str, Any]:
    """About 2 KB as stored, in some 80 values."""
    named = {"title": f"order {number:06}", "status": "open", "email": "alice@example.org"}
    lines = [{"sku": f"article-{n:04}", "quantity": n, "price": n * 1.25} for n in range(18)]
    return _marked({**named, "body": "some words about it " * 34, "at": _MOMENT, "lines": lines})


MAKERS: Final[Mapping[str, Callable[[int], dict[str, Any]]]] = {SMALL: small_document, LARGE: large_document}
