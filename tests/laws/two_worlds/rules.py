"""A schema and a policy with every way of hiding, and a small oracle of its own that says what each role may see.

The oracle is written beside the policy, in other words, and asks nothing of the gateway.
"""

from collections.abc import Callable
from dataclasses import dataclass

CONFIG = """
auth: {{secret: '{secret}'}}
server: {{secret: '{secret}'}}
doors: [atlas_data_api, mixpeek, moorcheh]
limits: {{max_batch_size: 9, max_result_size: 50, query_timeout: 60s}}
"""
SCHEMA = """
settings: {id_type: string, default_tenant_field: tenant_id, default_owner_field: owner_id, auto_timestamps: false}
collections:
  staff:
    client_ids: true
    versioning: {enabled: true}
    fields:
      tenant_id: {type: string}
      owner_id: {type: string}
      name: {type: string, required: true, max_length: 40}
      dept: {type: string, enum: [open, ops, lab]}
      level: {type: integer, min: 0}
      locked: {type: boolean}
      salary: {type: number}
      pay: {type: object, properties: {month: {type: number}, bonus: {type: number}}}
      ssn: {type: string}
      badge: {type: string, default: uuid()}
      note: {type: string}
      grade: {type: string}
      skills: {type: array, items: {type: object, properties: {name: {type: string}, score: {type: integer}}}}
      tags: {type: array, items: {type: string}}
      at: {type: date}
      photo: {type: blob, max_bytes: 1KiB}
    indexes:
      - {fields: [tenant_id, badge], unique: true}
      - {fields: [tenant_id, salary]}
      - {fields: [tenant_id, level]}
  notes:
    id_type: objectId
    fields:
      tenant_id: {type: string}
      owner_id: {type: string}
      text: {type: string, required: true}
      stars: {type: integer, min: 0}
      secret: {type: string}
  teams:
    client_ids: true
    access: {tenant_field: null, owner_field: null}
    fields:
      name: {type: string, required: true}
      lead: {type: string}
      public: {type: boolean}
      budget: {type: number}
      near: {type: vector, dimensions: 2}
  crew:
    client_ids: true
    access: {owner_field: null}
    hierarchy: {user_id_field: name, manager_field: lead}
    fields:
      tenant_id: {type: string}
      name: {type: string}
      lead: {type: string}
    indexes:
      - {fields: [tenant_id, name], unique: true}
"""
POLICY = """
roles:
  viewer: {system: [explain]}
  user: {inherits: [viewer], system: [explain]}
  manager: {system: [explain]}
  boss: {system: [explain, audit]}
  keeper: {system: [admin]}
policies:
  staff:
    viewer:
      actions: [read, aggregate]
      when: "resource.dept == 'open'"
      fields: {allow: [name, dept, level, ssn, pay.month, skills.name], mask: {ssn: last4}}
    user:
      - actions: [create, read, update, delete, restore, aggregate]
        when: "resource.owner_id == user.id"
        fields: {deny: [salary, pay.bonus, skills.score], mask: {ssn: last4}}
      - {effect: deny, actions: [delete], when: "resource.locked == true"}
      - {effect: deny, actions: [read, aggregate], when: "resource.level > 5", fields: [note]}
    manager:
      - actions: [create, read, update, delete, restore, aggregate]
        when: "resource.dept == user.dept"
        fields: {allow: [name, dept, level, badge, grade, tags, at, pay.month]}
      - actions: [read, aggregate]
        when: "resource.level < 3"
        fields: {allow: [name, level, note, skills], deny: [skills.score]}
      # It holds of no row, whatever is hidden in one: what it asks of that must not be told.
      - {effect: deny, actions: [delete], when: "resource.salary > 500 && resource.level > 99"}
    boss:
      actions: ["*", purge]
      fields: {deny: [salary, pay.bonus], mask: {ssn: last4}}
  notes:
    viewer: {actions: [read, aggregate], when: resource.stars >= 1, fields: {allow: [text, stars]}}
    user:
      actions: [create, read, update, delete, aggregate]
      when: resource.owner_id == user.id
      fields: {deny: [secret]}
    manager: {actions: [read, delete, aggregate], when: resource.stars < 3, fields: {allow: [text, stars]}}
    boss: {actions: ["*", purge], fields: {deny: [secret]}}
  teams:
    viewer: {actions: [read, aggregate], when: resource.public == true, fields: {allow: [name, lead]}}
    user:
      actions: [create, read, update, delete, aggregate]
      when: resource.lead == user.id
      fields: {deny: [budget]}
    manager: {actions: [read, aggregate], when: resource.public == true, fields: {allow: [name]}}
    boss:
      actions: [create, read, update, delete, aggregate]
      when: "resource.lead == user.id || resource.lead in user.$subordinates"
      fields: {deny: [budget]}
"""
ROLES = ("viewer", "user", "manager", "boss")
ME, TENANT, DEPT = "alice", "acme", "ops"
COLLECTIONS = ("staff", "notes", "teams")
CREW = ((ME, None), ("bob", ME))  # who is below whom in the caller's tenant; the rules say "the caller and bob" by it
PLACES = {
    "staff": frozenset(
        [
            "owner_id",
            "name",
            "dept",
            "level",
            "locked",
            "salary",
            "pay.month",
            "pay.bonus",
            "ssn",
            "badge",
            "note",
            "grade",
            "skills.name",
            "skills.score",
            "tags",
            "at",
        ]
    ),
    "notes": frozenset({"owner_id", "text", "stars", "secret"}),
    "teams": frozenset({"name", "lead", "public", "budget"}),
}
CONTROL = {
    "staff": ("owner_id", "dept", "level", "locked"),
    "notes": ("owner_id", "stars"),
    "teams": ("lead", "public"),
}


@dataclass(frozen=True)
class Gives:
    """One rule: in which rows, which places; `whole` where it shows the containers of what it denies."""

    holds: Callable[[dict], bool]
    places: frozenset[str]
    whole: bool = False


def _of(names: str) -> frozenset[str]:
    return frozenset(names.split())


def _mine(row: dict) -> bool:
    return row.get("owner_id") == ME


_STAFF_VIEWER = Gives(lambda row: row.get("dept") == "open", _of("name dept level ssn pay.month skills.name"))
_NOTES_VIEWER = Gives(lambda row: row.get("stars", 0) >= 1, _of("text stars"))
_TEAMS_VIEWER = Gives(lambda row: row.get("public") is True, _of("name lead"))
GIVES: dict[tuple[str, str], tuple[Gives, ...]] = {
    ("viewer", "staff"): (_STAFF_VIEWER,),
    ("user", "staff"): (
        _STAFF_VIEWER,
        Gives(_mine, PLACES["staff"] - _of("salary pay.bonus skills.score"), whole=True),
    ),
    ("manager", "staff"): (
        Gives(lambda row: row.get("dept") == DEPT, _of("name dept level badge grade tags at pay.month")),
        Gives(lambda row: row.get("level", 9) < 3, _of("name level note skills.name"), whole=True),
    ),
    ("boss", "staff"): (Gives(lambda row: True, PLACES["staff"] - _of("salary pay.bonus"), whole=True),),
    ("viewer", "notes"): (_NOTES_VIEWER,),
    ("user", "notes"): (_NOTES_VIEWER, Gives(_mine, PLACES["notes"] - _of("secret"))),
    ("manager", "notes"): (Gives(lambda row: row.get("stars", 9) < 3, _of("text stars")),),
    ("boss", "notes"): (Gives(lambda row: True, PLACES["notes"] - _of("secret")),),
    ("viewer", "teams"): (_TEAMS_VIEWER,),
    ("user", "teams"): (_TEAMS_VIEWER, Gives(lambda row: row.get("lead") == ME, PLACES["teams"] - _of("budget"))),
    ("manager", "teams"): (Gives(lambda row: row.get("public") is True, _of("name")),),
    ("boss", "teams"): (Gives(lambda row: row.get("lead") in (ME, "bob"), PLACES["teams"] - _of("budget")),),
}
WRITABLE: dict[tuple[str, str], frozenset[str]] = {
    ("user", "staff"): PLACES["staff"] - _of("salary pay.bonus skills.score owner_id"),
    ("manager", "staff"): _of("name dept level badge grade tags at pay.month"),
    ("boss", "staff"): PLACES["staff"] - _of("salary pay.bonus owner_id"),
    ("user", "notes"): _of("text stars"),
    ("boss", "notes"): _of("text stars"),
    ("user", "teams"): _of("name lead public"),
    ("boss", "teams"): _of("name lead public"),
}


def sees(role: str, collection: str, row: dict) -> bool:
    """Whether the caller of this role sees the row at all."""
    within = collection == "teams" or row.get("tenant_id") == TENANT
    return within and any(one.holds(row) for one in GIVES[role, collection])


def hidden_places(role: str, collection: str, row: dict) -> frozenset[str]:
    """The places of a visible row whose values the caller must not learn; masked ones are not among them."""
    shown = frozenset().union(*(one.places for one in GIVES[role, collection] if one.holds(row)))
    if role == "user" and collection == "staff" and row.get("level", 9) > 5:
        shown -= {"note"}
    return PLACES[collection] - shown


def shows_containers(role: str, collection: str, row: dict) -> bool:
    """Whether an emptied object or element is told of in this row."""
    return any(one.whole for one in GIVES[role, collection] if one.holds(row))
