"""policy_tests.yml as JSON Schema."""

from __future__ import annotations

from permission_mongo.config.cases import VERDICTS
from permission_mongo.config.shapes.words import Shape, choice, entries, section, text, texts, whole
from permission_mongo.policy.rules import ACTIONS

_ANY_KEYS = {"type": "object"}
_KEYS_OR_NOTHING = {"type": ["object", "null"]}


def policy_tests_shape() -> Shape:
    case = {"$ref": "#/$defs/test"}
    return whole(
        "policy_tests.yml of permission-mongo",
        {
            "version": text("Free text.", empty=True),
            "now": _moment(),
            "principals": entries("Who asks, by name.", _principal()),
            "documents": entries(
                "What is there, by collection and name.",
                entries("Documents by name, which is the `_id` unless that is given.", _KEYS_OR_NOTHING),
            ),
            "tests": {"anyOf": [case, {"type": "array", "items": case}]},
        },
        {"test": _test()},
    )


def _moment() -> Shape:
    return text("What rules read as `now`.")


def _principal() -> Shape:
    return section(
        "One principal.",
        {
            "sub": text("`user.id`; the principal's name, if left out.", empty=True),
            "tenant": {"type": ["string", "null"], "minLength": 1},
            "roles": texts("Of policy.yml."),
            "claims": {**_ANY_KEYS, "description": "Further claims, as `user.x` reads them."},
            "subordinates": texts("Stands for `user.$subordinates`."),
            "direct_reports": texts("Stands for `user.$directReports`."),
            "ancestors": texts("Stands for `user.$ancestors`."),
        },
    )


def _test() -> Shape:
    keys = {
        "name": text("Free text.", empty=True),
        "principal": text("Of the principals above."),
        "action": choice(ACTIONS),
        "collection": text("Of schema.yml."),
        "ids": {
            "description": "The action is permitted on exactly these documents.",
            "anyOf": [texts(), entries("", _expected())],
        },
        "expect": choice(VERDICTS, "Instead of `ids`: what becomes of it."),
        "id": text("The document that `expect` speaks of."),
        "change": {**_ANY_KEYS, "description": "Of an update: as the body of a PATCH."},
        "document": {**_ANY_KEYS, "description": "Of a create."},
        "stored": {**_ANY_KEYS, "description": "Fields of the document as it is then."},
        "now": _moment(),
        "request": {
            **_ANY_KEYS,
            "description": "`ip` and `method`, for rules that read them.",
            "propertyNames": {"enum": ["ip", "method"]},
        },
    }
    return {
        **section("One test.", keys),
        "type": "object",
        "required": ["principal", "action", "collection"],
        "oneOf": [{"required": ["ids"]}, {"required": ["expect"]}],
    }


def _expected() -> Shape:
    return section(
        "What is expected of one document.",
        {
            "fields": texts("Of a read: exactly these are shown as they are."),
            "hidden": texts("Of a read: none of these is shown."),
            "masks": {**_KEYS_OR_NOTHING, "description": "Of a read: by field the mask's name, or what is shown."},
            "writable": texts("Of an update: exactly these may be written."),
        },
    )
