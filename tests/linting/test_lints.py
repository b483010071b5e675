"""Each lint is raised by what it is about, at its place, and silent beside it."""

import re
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from permission_mongo.config.load import load_with_trees
from permission_mongo.errors import Finding
from permission_mongo.linting.table import LINTS, is_waived, lint

CONFIG = "auth: {secret: '0123456789012345678901234567890123456789'}\n"
SCHEMA = """
settings: {id_type: string, default_tenant_field: tenant_id}
collections:
  notes:
    versioning: {enabled: true}
    fields:
      tenant_id: {type: string}
      owner_id: {type: string}
      title: {type: string, required: true}
      status: {type: string, required: true, enum: [open, shut]}
      stage: {type: string, enum: [one, two]}
      held: {type: boolean}
      pay: {type: object, properties: {month: {type: number, min: 0}}}
      age: {type: integer, min: 0, max: 150}
      ssn: {type: string}
      at: {type: date}
      near: {type: vector, dimensions: 3}
    indexes:
      - {fields: [tenant_id, owner_id]}
      - {fields: [tenant_id, status]}
"""
ROLES = "roles: {user: {}, boss: {inherits: [user]}}\n"
OWN = "{actions: [create, read, update, delete, restore], when: resource.owner_id == user.id}"


def policy(*rules: str, roles: str = ROLES, more: str = "") -> str:
    """The rules of `notes`, one a line from line 5 on, each beginning at column 9."""
    by_role: dict[str, list[str]] = {}
    for rule in rules:
        role, text = rule.split(" ", 1)
        by_role.setdefault(role, []).append(text)
    lines = [f"    {role}: [{', '.join(texts)}]\n" for role, texts in by_role.items()]
    return f"{roles}\npolicies:\n  notes:\n{''.join(lines)}{more}"


def linted(folder: Path, policy_text: str, schema: str = SCHEMA, *, at_start: bool = False) -> list[Finding]:
    for name, text in (("config.yaml", CONFIG), ("schema.yml", schema), ("policy.yml", policy_text)):
        (folder / name).write_text(text)
    return list(lint(load_with_trees(folder, {}), at_start=at_start))


@dataclass
class Case:
    """`raised` by a policy (and schema) at a place; `silent` are policies (and schemas) that it says nothing of."""

    raised: str
    place: str
    message: str
    silent: list[str | tuple[str, str]]
    schema: str = SCHEMA
    proposal: str = ""
    also: list[str] = field(default_factory=list)  # policies that raise it as well


def reads(when: str, role: str = "user") -> str:
    return f'{role} {{actions: [read], when: "{when}"}}'


def denies(when: str) -> str:
    return f'user {{effect: deny, actions: [delete], when: "{when}"}}'


CASES = {
    "never-applies": Case(
        policy(reads("resource.age == 1 && resource.age == 2")),
        "policy.yml:5:36",
        "'when' never holds",
        [policy(reads("resource.age == 1 || resource.age == 2"))],
        also=[
            policy(reads("false")),
            policy(reads("resource.age in []")),
            policy(reads("resource.status == 'opne'")),
            policy(reads("resource.stage in ['three', 'four']")),
            policy(reads("resource.age > 200")),
            policy(reads("resource.age < 0")),
            policy(reads("!has(resource.title) && resource.title == 'x'")),
            policy("user {actions: [update], check: \"resource.age > 5 && resource.age < 3\"}"),
        ],
    ),
    "always-applies": Case(
        policy(reads("true")),
        "policy.yml:5:36",
        "'when' always holds: leave it out",
        [policy(reads("has(resource.stage)")), policy(reads("resource.stage in ['one', 'two']"))],
        also=[
            policy(reads("has(resource.title)")),
            policy(reads("resource.status in ['open', 'shut']")),
            policy(reads("resource.status == 'open' || resource.status == 'shut'")),
            policy(reads("resource.status != 'elsewhere'")),
            policy(reads("has(resource.age) || !has(resource.age)")),
        ],
    ),
    "not-in-enum": Case(
        policy(reads("resource.owner_id == user.id || resource.status == 'opne'")),
        "policy.yml:5:69",
        "'status' is one of open, shut, never 'opne'; did you mean 'open'?",
        [policy(reads("resource.status == 'open' || resource.stage is null"))],
        also=[policy(reads("resource.status != 'opne'")), policy(reads("resource.status in ['open', 'x']"))],
    ),
    "judged-vector": Case(
        policy(reads("resource.owner_id == user.id && resource.near > 0")),
        "policy.yml:5:69",
        "'near' is a vector",
        [
            policy(reads("resource.owner_id == user.id && has(resource.near)")),
            policy(reads("resource.owner_id == user.id && resource.near is null")),
        ],
        also=[policy(reads("resource.owner_id == user.id && !(1 in resource.near)"))],
    ),
    "unsure-deny": Case(
        policy(f"user {OWN}", denies("resource.held == true")),
        "policy.yml:5:141",
        "applies as well where 'held' is absent",
        [
            policy(f"user {OWN}", denies("has(resource.held) && resource.held == true")),
            policy(f"user {OWN}", denies("resource.status == 'shut'")),
            policy(f"user {OWN}", denies("resource.tenant_id == 'x'")),
        ],
        also=[
            policy(f"user {OWN}", denies("has(resource.pay) && resource.pay.month > 1")),
            policy(f"user {OWN}", denies("resource.held == true || resource.status == 'shut'")),
            policy(f"user {OWN}", "user {effect: deny, actions: [read], fields: [ssn], when: resource.age < 18}"),
        ],
    ),
    "unsure-check": Case(
        policy("user {actions: [update], when: resource.owner_id == user.id, check: resource.stage != 'two'}"),
        "policy.yml:5:75",
        "refuses a document in which 'stage' is absent",
        [
            policy("user {actions: [update], when: resource.owner_id == user.id, check: resource.status != 'shut'}"),
            policy(
                "user {actions: [update], when: resource.owner_id == user.id, "
                "check: '!has(resource.stage) || resource.stage != \"two\"'}"
            ),
        ],
    ),
    "shadowed-rule": Case(
        policy(
            f"user {OWN}",
            "boss {actions: [read], when: resource.owner_id == user.id && resource.status == 'open'}",
        ),
        "policy.yml:6:12",
        "which 'boss' inherits from 'user', gives all that this one gives",
        [
            policy(f"user {OWN}", "boss {actions: [read], when: resource.status == 'open'}"),
            policy(f"user {OWN}", "boss {actions: [purge], when: resource.owner_id == user.id}"),
            policy(
                "user {actions: [read], when: resource.owner_id == user.id, fields: {mask: {ssn: last4}}}",
                "boss {actions: [read], when: resource.owner_id == user.id && resource.status == 'open'}",
            ),
            policy(
                "user {actions: [update], when: resource.owner_id == user.id, check: resource.status == 'open'}",
                "boss {actions: [update], when: resource.owner_id == user.id, check: \"resource.status in ['open', 'shut']\"}",
            ),
            policy(f"boss {OWN}", reads("resource.owner_id == user.id")),  # the one who inherits has more
        ],
        also=[
            policy(reads("resource.status == 'open'"), reads("resource.status == 'open'")),
            policy(f"user {OWN}", denies("resource.status == 'shut'"), denies("resource.status == 'shut' && resource.title == 'x'")),
            policy(
                f"user {OWN}",
                "user {actions: [read], when: resource.owner_id == user.id, fields: {allow: [title]}}",
            ),
        ],
    ),
    "denied-always": Case(
        policy("user {effect: deny, actions: [delete]}", "boss {actions: [delete], when: resource.owner_id == user.id}"),
        "policy.yml:6:12",
        "the deny at policy.yml:5:12 always applies: this rule gives nothing",
        [
            policy("boss {effect: deny, actions: [delete]}", "user {actions: [delete], when: resource.owner_id == user.id}"),
            policy("user {effect: deny, actions: [delete]}", f"user {OWN}"),
            policy("user {effect: deny, actions: [read], fields: [ssn]}", reads("resource.owner_id == user.id")),
        ],
    ),
    "void-limit": Case(
        policy(
            f"user {OWN}",
            "boss {actions: [read], when: resource.owner_id == user.id, fields: {mask: {ssn: last4}}}",
        ),
        "policy.yml:6:74",
        "'mask' of ssn is void: the rule at policy.yml:5:12, which 'boss' inherits from 'user', holds wherever",
        [
            policy(f"user {OWN}", "boss {actions: [read], when: resource.status == 'open', fields: {mask: {ssn: last4}}}"),
            policy(reads("resource.owner_id == user.id", "boss"), "user {actions: [read], fields: {mask: {ssn: last4}}}"),
        ],
        also=[
            policy(f"user {OWN}", "boss {actions: [update], when: resource.owner_id == user.id, fields: {deny_write: [pay]}}"),
        ],
    ),
    "tenant-not-led": Case(
        policy(f"user {OWN}"),
        "schema.yml:21:9",
        "every query of 'notes' names its 'tenant_id'",
        [
            (policy(f"user {OWN}"), SCHEMA + "      - {fields: [title], unique: true, global: true}\n"),
            (policy(f"user {OWN}"), SCHEMA.replace("versioning: {enabled: true}", "allow_regex: false") + "      - {fields: [at], expire_after: 30d}\n"),
            (policy(f"user {OWN}"), SCHEMA.replace("default_tenant_field: tenant_id", "additional_fields: keep")),
        ],
        schema=SCHEMA + "      - {fields: [title, -at]}\n",
        proposal="- fields: [tenant_id, title, -at]",
    ),
    "no-index": Case(
        policy(reads("resource.ssn == user.ssn && resource.age > 5")),
        "policy.yml:5:36",
        "no index of 'notes' leads to 'ssn'",
        [
            policy(reads("resource.ssn == user.ssn && resource.status == 'open'")),
            policy(reads("resource.status != 'open'")),
            policy(reads("resource._id == user.id")),
            policy("user {actions: [create], when: resource.ssn == user.ssn}"),
            policy(denies("has(resource.ssn) && resource.ssn == user.ssn"), f"user {OWN}"),
        ],
        proposal="- fields: [tenant_id, ssn, age]",
        also=[
            policy(reads("resource.owner_id == user.id || resource.ssn == user.ssn")),
            policy(reads("startsWith(resource.title, 'a')")),
        ],
    ),
    "mask-on-denied": Case(
        policy("user {actions: [read], when: resource.owner_id == user.id, fields: {deny: [ssn], mask: {ssn: last4}}}"),
        "policy.yml:5:100",
        "'ssn' is denied by this rule as well",
        [policy("user {actions: [read], when: resource.owner_id == user.id, fields: {deny: [age], mask: {ssn: last4}}}")],
        also=[policy("user {actions: [read], when: resource.owner_id == user.id, fields: {allow: [age], mask: {ssn: last4}}}")],
    ),
    "idle-mask": Case(
        policy("user {actions: [read], when: resource.owner_id == user.id, fields: {mask: {age: last4}}}"),
        "policy.yml:5:87",
        "'last4' masks texts; 'age' is of type integer",
        [policy("user {actions: [read], when: resource.owner_id == user.id, fields: {mask: {age: hash, ssn: last4}}}")],
    ),
    "judged-field-writable": Case(
        policy(f"user {OWN}", "boss {actions: [purge, read], when: resource.status == 'shut'}"),
        "policy.yml:6:43",
        "lets 'boss' write 'status'",
        [
            policy(f"user {OWN}", "boss {actions: [read], when: resource.status == 'shut'}"),
            policy(
                "user {actions: [read, update], when: resource.owner_id == user.id, fields: {deny_write: [status]}}",
                "boss {actions: [purge], when: resource.status == 'shut'}",
            ),
            policy(f"user {OWN}", "boss {actions: [purge], when: resource.owner_id == user.id}"),
            policy(
                "user {actions: [update], when: resource.status == 'open', check: \"resource.status in ['open', 'shut']\", "
                "fields: {reassign: [status]}}"
            ),
        ],
        also=[
            policy(
                "user {actions: [update], when: resource.status == 'open', check: resource.owner_id == user.id, "
                "fields: {reassign: [status]}}"
            ),
            policy(
                "user {actions: [read, update], when: resource.owner_id == user.id, fields: {deny: [ssn]}}",
                reads("resource.status == 'shut'", "boss"),
            ),
        ],
    ),
    "unmentioned-role": Case(
        policy(f"user {OWN}", roles="roles: {user: {}, idle: {}}\n"),
        "policy.yml:1:19",
        "no rule speaks for the role 'idle'",
        [
            policy(f"user {OWN}", roles="roles: {user: {}, alias: {inherits: [user]}}\n"),
            policy(f"user {OWN}", roles="roles: {user: {inherits: [base]}, base: {}}\n"),
            policy(f"user {OWN}", roles="roles: {user: {}, auditor: {system: [audit]}}\n"),
        ],
    ),
    "unread-collection": Case(
        policy("user {actions: [create]}"), "policy.yml:4:3", "no role may read 'notes'", [policy(f"user {OWN}")]
    ),
    "unused-template": Case(
        policy(f"user {OWN}", more="templates:\n  idle: {user: {actions: [read]}}\n"),
        "policy.yml:7:3",
        "no collection uses the template 'idle'",
        [policy(f"user {OWN}", more="    use: [idle]\ntemplates:\n  idle: {user: {actions: [purge]}}\n")],
    ),
    "unused-action": Case(
        policy(reads("resource.owner_id == user.id")),
        "policy.yml:4:3",
        "no role may create, update, delete, restore in 'notes'",
        [policy(f"user {OWN}")],
    ),
    "cross-tenant": Case(
        policy(f"user {OWN}", roles="roles: {user: {}, root: {cross_tenant: true, inherits: [user]}}\n"),
        "policy.yml:1:26",
        "'root' reaches past the tenant by its own rules, and by what it inherits from user",
        [policy(f"user {OWN}")],
    ),
}  # fmt: skip


def test_every_lint_has_its_cases():
    assert set(CASES) == {one.code for one in LINTS}


@pytest.mark.parametrize("code", CASES)
def test_a_lint_is_raised_at_its_place_with_what_to_do(tmp_path, code):
    case = CASES[code]
    found = [one for one in linted(tmp_path, case.raised, case.schema) if one.code == code]
    assert [one.place for one in found] == [case.place], found
    assert case.message in found[0].message
    assert found[0].proposal == case.proposal
    assert found[0].severity == ("notice" if code in ("unused-action", "cross-tenant") else "warning")


@pytest.mark.parametrize(("code", "text"), [(code, text) for code, case in CASES.items() for text in case.also])
def test_a_lint_is_raised_by_what_is_alike(tmp_path, code, text):
    assert code in [one.code for one in linted(tmp_path, text)]


@pytest.mark.parametrize(("code", "text"), [(code, text) for code, case in CASES.items() for text in case.silent])
def test_a_lint_is_silent_beside_what_it_is_about(tmp_path, code, text):
    texts = text if isinstance(text, tuple) else (text, SCHEMA)
    assert [one for one in linted(tmp_path, *texts) if one.code == code] == []


def test_what_the_design_warns_of_is_told_at_start_and_no_more(tmp_path):
    wanted = {"never-applies", "always-applies", "no-index", "unsure-deny", "unsure-check"}
    assert {one.code for one in LINTS if one.at_start} == wanted
    text = policy(reads("true"), reads("resource.ssn == user.ssn"), roles="roles: {user: {}, idle: {}}\n")
    assert {one.code for one in linted(tmp_path, text, at_start=True)} == {"always-applies", "no-index"}


def test_a_template_is_told_of_for_each_collection_that_uses_it(tmp_path):
    schema = SCHEMA + "  more:\n    fields: {tenant_id: {type: string}, ssn: {type: string}}\n"
    text = (
        "roles: {user: {}}\ntemplates: {by_ssn: {user: {actions: [read], when: resource.ssn == user.ssn}}}\n"
        "policies: {notes: {use: [by_ssn]}, more: {use: [by_ssn]}}\n"
    )
    found = [one for one in linted(tmp_path, text, schema) if one.code == "no-index"]
    assert {(one.place, re.findall(r"'(notes|more)'", one.message)[0]) for one in found} == {
        ("policy.yml:2:52", "notes"),
        ("policy.yml:2:52", "more"),
    }


def test_hidden_defaults_are_no_shadows_of_each_other(tmp_path):
    text = policy(
        f"user {OWN}",
        "boss {actions: [purge], when: resource.owner_id == user.id}",
        more="defaults: {deny_fields: [ssn]}\n",
    )
    assert "shadowed-rule" not in [one.code for one in linted(tmp_path, text)]


def test_a_lint_is_waived_on_its_line_or_above_and_a_mistake_never_is():
    warned = Finding("policy.yml", 2, 1, "m", warning=True, code="no-index")
    for line in ("# check: ignore no-index", "x: 1  # check: ignore shadowed-rule, no-index because"):
        assert is_waived(warned, ["", line])
        assert is_waived(warned, [line, ""])
        assert not is_waived(warned, ["", "", line])
        assert not is_waived(Finding("policy.yml", 2, 1, "m", code="no-index"), ["", line])
    assert not is_waived(warned, ["", "# check: ignore no-indexes"])


def test_thousands_of_rules_are_looked_at_in_some_seconds(tmp_path):
    """Pairs are compared where there are few; the bound is wide, for machines that have other things to do."""
    by_role = {f"r{n}": {f"inherits: [r{n - 1}]"} if n else set() for n in range(8)}
    roles = "roles:\n" + "".join(f"  {name}: {{{', '.join(said)}}}\n" for name, said in by_role.items())
    rules = [
        f"{name} {{actions: [read], when: \"resource.title == '{name}{k}'\"}}" for name in by_role for k in range(125)
    ]
    began = time.monotonic()
    linted(tmp_path, policy(*rules, roles=roles))
    assert time.monotonic() - began < 20
