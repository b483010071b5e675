"""policy.yml as JSON Schema."""

from __future__ import annotations

from permission_mongo.config.policy import SYSTEM_RIGHTS
from permission_mongo.config.shapes.words import Shape, boolean, choice, entries, section, text, texts, whole
from permission_mongo.documents.fields import MASK_KINDS
from permission_mongo.policy.rules import ACTIONS


def policy_shape() -> Shape:
    rule, rules = {"$ref": "#/$defs/rule"}, {"$ref": "#/$defs/rules"}
    used = texts("Templates, joined as further rules.")
    return whole(
        "policy.yml of permission-mongo",
        {
            "version": text("Free text.", empty=True),
            "roles": entries("The roles, by name.", _role()),
            "templates": entries("Roles and rules, to be used by several collections.", entries("", rules)),
            "policies": entries(
                "The rules of each collection, by role.",
                {"type": ["object", "null"], "properties": {"use": used}, "additionalProperties": rules},
            ),
            "defaults": section("For every role.", {"deny_fields": texts("Fields that are hidden from every role.")}),
        },
        {"rule": _rule(), "rules": {"anyOf": [rule, {"type": "array", "items": rule}]}},
    )


def _role() -> Shape:
    return section(
        "One role.",
        {
            "description": text(empty=True),
            "inherits": texts("Roles whose rules this one has as well; at most 8 levels."),
            "cross_tenant": boolean("The only way past the tenant.", False),
            "system": texts("Rights on the gateway itself.", choice(SYSTEM_RIGHTS)),
        },
    )


def _rule() -> Shape:
    """`fields` is a list in a deny rule, and keys in an allow rule."""
    condition = "Such as `resource.owner_id == user.id`; docs/policy-language.md has the language."
    keys = {
        "actions": texts("`*` is all but purge.", choice((*ACTIONS, "*"))),
        "effect": choice(["allow", "deny"], "A deny beats every allow.", "allow"),
        "when": text(f"For which documents; none: for all. {condition}"),
        "check": text(f"What a document must be after a write; none: what `when` says. {condition}"),
        "fields": {"description": "Of an allow rule: which fields. Of a deny rule: a list of fields to hide."},
        "set": entries("What the gateway writes on a write.", {"type": ["string", "number", "boolean", "null"]}),
    }
    denies = {"properties": {"effect": {"const": "deny"}}, "required": ["effect"]}
    hiding = {"properties": {"fields": texts(), "check": False, "set": False}}
    return {
        **section("One rule.", keys),
        "type": "object",
        "required": ["actions"],
        "if": denies,
        "then": hiding,
        "else": {"properties": {"fields": _fields()}},
    }


def _fields() -> Shape:
    return section(
        "Which fields a rule shows, masks and lets be written.",
        {
            "allow": texts("Only these; `*` for all."),
            "deny": texts("Not these."),
            "deny_write": texts("Shown, and not to be written."),
            "mask": entries("Shown in another form.", choice(MASK_KINDS)),
            "reassign": texts("Tenant, owner and what the role is judged by; needs a `check`."),
        },
    )
