"""The codes of what a configuration is refused for, and of what is only told while it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LOAD_CODES: Final[Mapping[str, str]] = {
    "file": "a file is missing, stands there twice, is too large or no UTF-8; or nothing is declared",
    "not-yaml": "the file is no YAML, or YAML of a kind that is not taken: tags, aliases that explode",
    "duplicate-key": "a key stands there twice",
    "missing-variable": "the environment lacks a variable that has no default",
    "unknown-key": "a key that means nothing here",
    "not-available": "a key or file of a feature that this version does not have",
    "wrong-type": "a value of another type than the key takes; `no` and `yes` are texts",
    "not-one-of": "a word that is none of those the key takes",
    "invalid": "a value that its key can't have, as the message says",
    "weak-secret": "a secret of less than 32 bytes",
    "no-tenant": "a collection without the tenant field that `settings` names",
    "unique-not-led": "a unique index that the tenant does not lead",
    "unknown-collection": "a collection that schema.yml does not declare",
    "unknown-field": "a field that its collection does not declare",
    "unknown-role": "a role that `roles` does not name",
    "unknown-template": "a template that `templates` does not name",
    "unknown-action": "an action that there is not",
    "bad-expression": "an expression that means nothing; the caret shows the sign",
    "type-clash": "a literal that its field can't be compared with",
    "role-cycle": "a role that inherits itself, or through more than 8 levels",
    "void-deny": "a `fields.deny` that an inherited rule makes void",
    "two-stamps": "two values by `set` for one field",
    "no-hierarchy": "a relation between people where no collection declares a hierarchy",
    "policy-test": "a test of policy_tests.yml fails",
    "ignored-key": "a key of the Go gateway that does nothing here (a warning)",
    "other-name": "a key or file of the Go gateway that is read under our name (a warning)",
}
