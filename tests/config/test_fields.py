"""What schema.yml says of fields, indexes, references and computed fields is taken whole or refused at its place."""

from datetime import datetime

import pytest

from permission_mongo.documents.paths import canonical
from permission_mongo.schema.model import Ref
from tests.config.test_load import POLICY, SCHEMA, load, mistakes

USERS = "\n  users: {id_type: objectId, fields: {tenant_id: {type: string}}}"


def field(text: str) -> dict[str, str]:
    return {"schema": SCHEMA + f"      x: {{{text}}}"}


def index(text: str) -> dict[str, str]:
    return {"schema": SCHEMA + f"    indexes: [{{{text}}}]"}


def policy(text: str, computed: str = "{$add: [$net, 1]}") -> dict[str, str]:
    return {"schema": SCHEMA + f"      net: {{type: number}}\n      x: {{type: number, computed: {computed}}}", "policy": POLICY + text}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (field("type: vector"), "'x' needs its 'dimensions'"),
        (field("type: vector, dimensions: 0"), "13:37: a vector has 1 to 8192 dimensions"),
        (field("type: vector, dimensions: 8193"), "a vector has 1 to 8192 dimensions"),
        (field("type: vector, dimensions: many"), "expects a whole number"),
        (field("type: array, dimensions: 3"), "'dimensions' is for vector; this field is of type array"),
        (field("type: vector, dimensions: 3, min_length: 3"), "'min_length' is for string, array"),
        (field("type: vector, dimensions: 2, items: {type: number}"), "'items' is for array"),
        (field("type: vector, dimensions: 2, auto: true"), "'auto' makes no vector"),
        (field("type: vector, dimensions: 2, default: [1]"), "breaks the field: has 1 numbers; exactly 2"),
        (field("type: vector, dimensions: 2, computed: [1, 2]"), "a computed field is of type string"),
        (field("type: blob, required: true"), "unknown key 'required'; known here: type, max_bytes, content_types"),
        (field("type: blob, content_types: [png]"), "'png' is no content type"),
        (field("type: blob, max_bytes: 0"), "'max_bytes' is more than nothing"),
        (field("type: object, properties: {a: {type: blob}}"), "only a field of the document itself can be a blob"),
        (field("type: array, items: {type: blob}"), "only a field of the document itself can be a blob"),
        (field("type: string, max_bytes: 5"), "unknown key 'max_bytes'"),
        (field("type: string, min_length: 5, max_length: 2"), "13:52: 'max_length' is below 'min_length'"),
        (field("type: integer, min: 5, max: 2"), "'max' is below 'min'"),
        # defaults
        (field("type: string, max_length: 2, default: long"), "breaks the field: has 4 characters; at most 2"),
        (field("type: array, items: {type: integer}, default: [1, a]"), "breaks the field: expected a number"),
        (field("type: object, properties: {n: {type: integer, required: true}}, default: {}"), "is required"),
        (field("type: object, default: {$x: 1}"), "a field's name can't be empty"),
        (field("type: integer, default: now()"), "makes a value of type date or string"),
        (field("type: date, default: user.id"), "'user.id' makes a value of type string or objectId or uuid"),
        (field("type: array, enum: [a]"), "'enum' is for string"),
        (field("type: array, items: {type: string, default: a}"), "an item of an array is never absent"),
        ({"schema": SCHEMA + "      _id: {type: string, pattern: '^a'}"}, "13:27: 'pattern' says nothing of an '_id'"),
        # auto
        (field("type: integer, auto: true"), "13:32: 'auto' makes values of type date, uuid, string"),
        (field("type: string, auto_update: true"), "'auto_update' makes values of type date"),
        (field("type: object, properties: {n: {type: date, auto: true}}"), "not for one inside another"),
        (field("type: array, default: [], auto: true"), "'auto' makes no array"),
        # indexes
        (index("fields: [title], partial: {status: {$exists: true}}"), "13:42: not a filter for an index: unknown field"),
        (index("fields: [title], partial: {title: {$ne: a}}"), "an index can't have '$ne'"),
        (index("fields: [title], partial: {title: {$exists: false}}"), "an index can't have `$exists: false`"),
        (index("fields: [title], partial: {at: soon}"), "expected a date"),
        (index("fields: [title], partial: {$where: x}"), "the operator '$where' is not taken"),
        (index("fields: [title], partial: {}"), "it is empty"),
        (index("fields: [title], partial: {title: a}, sparse: true"), "'sparse' or 'partial', not both"),
        (index("fields: [at], expire_after: 30d"), "13:44: MongoDB removes what expires without a version"),
        (index("fields: [title], expire_after: 30d"), "an index on one date"),
        (index("fields: [pay.weekly]"), "unknown field 'pay.weekly'"),
        ({"schema": SCHEMA + "      x: {type: vector, dimensions: 2}\n    indexes: [{fields: [x]}]"}, "'x' is a vector"),
        ({"schema": SCHEMA + "      x: {type: vector, dimensions: 2}\n      y: {type: number, computed: {$size: $x}}"}, "'x' is a vector"),
        # references
        (field("type: string, ref: user"), "13:30: unknown collection 'user'"),
        ({"schema": SCHEMA + "      x: {type: string, ref: users}" + USERS}, "ids of 'users' are of type objectId"),
        ({"schema": SCHEMA + "      x: {type: array, items: {type: string, ref: users}}" + USERS}, "are of type objectId"),
        (field("type: number, ref: notes"), "'ref' is for objectId, uuid, string"),
        (field("type: string, ref: {collection: notes, lock: true}"), "x.ref.lock' is not available"),
        (field("type: string, ref: {existence: tenant}"), "names its 'collection'"),
        (field("type: string, ref: {collection: notes, existence: all}"), "is one of readable, tenant"),
        # computed
        (field("type: number, computed: {$add: [$title, $nothing]}"), "13:51: 'computed': 'notes' has no field 'nothing'"),
        (field("type: number, computed: {$add: [$x, 1]}"), "'x' is itself computed"),
        (field("type: number, computed: {$function: {}}"), "the operator '$function' is not taken here"),
        (field("type: number, computed: {$add: [{$rand: {}}]}"), "13:43: 'computed': the operator '$rand'"),
        (field("type: number, computed: {$add: [$pay.month, 9223372036854775808]}"), "at most 64 bits"),
        (field("type: number, computed: {$literal: 9223372036854775808}"), "at most 64 bits"),
        (field("type: number, computed: $$ROOT"), "'$$ROOT' is not taken here"),
        (field("type: number, computed: {$getField: title}"), "the operator '$getField' is not taken"),
        (field("type: number, computed: $lines.0.sku"), "no positions"),
        (field("type: number, computed: $_made.by"), "has no field '_made.by'"),
        (field("type: number, computed: {$divide: [1]}"), "'$divide' takes 2 operands"),
        (field("type: number, computed: {$round: [1, $title]}"), "a constant from -18 to 18"),
        (field("type: string, computed: {$dateToString: {date: $at, format: $title}}"), "constant text such as"),
        (field("type: string, computed: {$dateToString: {date: $at, format: '%q'}}"), "constant text such as"),
        (field("type: string, computed: {$literal: {$rand: {}}}"), "takes a text, a number"),
        (field("type: number, computed: 1, required: true"), "unknown key 'required'"),
        (field("type: array, computed: $tags"), "a computed field is of type string"),
        (field("type: object, properties: {n: {type: number, computed: 1}}"), "not one inside another"),
        (field("type: number, computed: " + "{$abs: " * 12 + "1" + "}" * 12), "more than 12 deep"),
        ({"schema": SCHEMA.replace("tenant_id: {type: string}", "tenant_id: {type: string, computed: $title}")}, "can't be computed"),
        ({"schema": SCHEMA + "      x: {type: number, computed: 1}\n    indexes: [{fields: [x]}]"}, "'x' is computed, and so can't be in an index"),
        # policies
        (policy("    boss: {actions: [read], when: resource.x == 1}"), "6:35: 'x' is computed; a condition names"),
        (policy("    boss: {actions: [update], check: resource.x > 1}"), "'x' is computed; a condition names"),
        (policy("    boss: {actions: [create], set: {x: 1}}"), "'x' is computed, and so can't be set"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(tmp_path, changed, message):
    found = mistakes(tmp_path, **changed)
    assert any(message in line for line in found), found


def test_what_is_right_is_read_into_types(tmp_path):
    schema = (
        SCHEMA
        + "      owner: {type: objectId, ref: users}\n"
        + "      helpers: {type: array, items: {type: objectId, ref: {collection: users, existence: tenant}}}\n"
        + "      days: {type: array, items: {type: date}, default: ['2026-01-31']}\n"
        + "      created_at: {type: date}\n"
        + "    indexes: [{fields: [at], partial: {at: {$gt: '2026-01-31'}, title: {$in: [a, b]}}}]"
        + USERS
    )
    notes = load(tmp_path, schema=schema).collections["notes"]
    assert notes.fields["owner"].ref == Ref("users")
    helpers = notes.fields["helpers"].items
    assert helpers is not None
    assert helpers.ref == Ref("users", widely=True)
    assert notes.fields["days"].default == [datetime(2026, 1, 31)]
    assert notes.indexes[0].partial == {
        "$and": [{"at": {"$gt": datetime(2026, 1, 31)}}, {"title": {"$in": ["a", "b"]}}]
    }
    assert "created_at" in notes.stamped


@pytest.mark.parametrize(
    ("rule", "hidden"),
    [
        ("{actions: [read]}", False),
        ("{actions: [read], fields: {allow: [net, x]}}", False),
        ("{actions: [read], fields: {allow: [x]}}", True),
        ("{actions: [read], fields: {deny: [net]}}", True),
        ("{actions: [read], fields: {mask: {net: redact}}}", True),
        ("{actions: [read], fields: {deny: [title]}}", False),
        ("{effect: deny, actions: [read], fields: [net]}", True),
        ("{effect: deny, actions: [read], fields: [title]}", False),
    ],
)
def test_t11_a_rule_that_hides_an_input_hides_what_is_computed_of_it(tmp_path, rule, hidden):
    text = POLICY.replace("user: {}", "user: {}, other: {}") + f"    other: {rule}"
    config = load(tmp_path, **{**policy(""), "policy": text})
    found = config.policy.rules["notes/other/0"]
    assert (canonical("x") in found.fields.deny | found.hidden) is hidden


def test_t11_a_part_of_an_input_that_is_denied_hides_the_computed_field(tmp_path):
    files = policy("", "{$ifNull: [$pay, 1]}")
    text = (
        POLICY.replace("user: {}", "user: {}, other: {}") + "    other: {actions: [read], fields: {deny: [pay.month]}}"
    )
    config = load(tmp_path, **{**files, "policy": text})
    assert canonical("x") in config.policy.rules["notes/other/0"].fields.deny


def test_a_computed_field_hidden_by_its_inputs_is_no_void_denial(tmp_path):
    """The inherited rule shows it, and that is no mistake: nobody wrote the denial."""
    files = policy("    boss: {actions: [read], fields: {allow: [title]}}")
    assert load(tmp_path, **files).warnings == ()
