"""Policy tests: what is right passes, each expectation can fail, and a failure says by which rule."""

import json
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from permission_mongo.cli.main import main
from permission_mongo.config.load import load_config
from permission_mongo.errors import Misconfigured
from permission_mongo.trials.load import load_tested
from permission_mongo.trials.run import run_tests

ROOT = Path(__file__).parents[2]
SCHEMA = """
settings: {id_type: string, default_tenant_field: t, default_owner_field: owner}
collections:
  notes:
    client_ids: true
    versioning: {enabled: true}
    fields:
      t: {type: string}
      owner: {type: string}
      title: {type: string, required: true}
      status: {type: string, enum: [open, done, locked], default: open}
      salary: {type: number}
      email: {type: string}
      seen: {type: string}
      pay: {type: object, properties: {month: {type: number}, bonus: {type: number}}}
      lines: {type: array, items: {type: object, properties: {sku: {type: string}}}}
      at: {type: date}
  plain:
    id_type: objectId
    access: {tenant_field: null, owner_field: null}
    fields: {name: {type: string}}
"""
POLICY = """
roles: {viewer: {}, user: {inherits: [viewer]}, boss: {}}
policies:
  notes:
    viewer: {actions: [read], when: "resource.status == 'done'", fields: {allow: [title, email, pay.month], mask: {email: email}}}
    user:
      - {actions: [create, read, update, delete, restore], when: resource.owner == user.id, check: "resource.status != 'locked'", fields: {deny_write: [salary]}, set: {seen: user.id}}
      - {effect: deny, actions: [delete], when: "resource.status == 'locked'"}
    boss: {actions: [read], when: "resource.at < now && request.ip == '10.0.0.1'"}
  plain:
    boss: {actions: [read]}
"""
HEAD = """
now: 2026-03-01T00:00:00Z
principals:
  guest: {tenant: acme, roles: [viewer]}
  alice: {tenant: acme, roles: [user]}
  boss: {sub: b, tenant: acme, roles: [boss]}
documents:
  notes:
    mine: {t: acme, owner: alice, title: Mine, status: open, salary: 5, pay: {month: 1, bonus: 2}, lines: [{sku: a}]}
    locked: {t: acme, owner: alice, title: Locked, status: locked, at: 2026-02-01}
    done: {t: acme, owner: bob, title: Done, status: done, salary: 9, email: bob@acme.example, pay: {month: 1, bonus: 2}}
    theirs: {t: evil, owner: alice, title: Elsewhere, status: done}
  plain:
    first: {name: x}
tests:
"""


def a_folder(folder: Path, *tests: str, head=HEAD, policy=POLICY) -> Path:
    (folder / "config.yaml").write_text("auth: {secret: '0123456789012345678901234567890123456789'}\n")
    (folder / "schema.yml").write_text(SCHEMA)
    (folder / "policy.yml").write_text(policy)
    (folder / "policy_tests.yml").write_text(head + "".join(f"  - {{{test}}}\n" for test in tests))
    return folder


def faults(tmp_path: Path, test: str) -> str:
    """What is wrong with one test, in words; empty if it passes."""
    (result,) = run_tests(load_config(a_folder(tmp_path, test), {}))
    return "\n".join(result.faults)


GUEST = "principal: guest, action: read, collection: notes, "
ALICE = "principal: alice, collection: notes, "
RIGHT = [
    GUEST + "ids: [done]",
    GUEST + "ids: {done: {fields: [title, pay.month], hidden: [salary, pay.bonus, seen], masks: {email: email}}}",
    GUEST + "ids: {done: {masks: {email: b***@acme.example}}}",
    ALICE + "action: read, ids: [mine, locked, done]",
    ALICE + "action: read, ids: {mine: {fields: [t, owner, title, status, salary, pay, lines]}, locked: , done: }",
    ALICE + "action: delete, ids: [mine]",
    ALICE + "action: restore, ids: [mine]",
    ALICE + "action: update, ids: {mine: {writable: [title, email, pay, lines, at]}, locked: }",
    ALICE + "action: purge, ids: []",
    ALICE + "action: purge, expect: forbidden",
    ALICE + "action: delete, expect: allowed",
    ALICE + "action: delete, id: mine, expect: allowed",
    ALICE + "action: delete, id: locked, expect: forbidden",
    ALICE + "action: delete, id: done, expect: forbidden",
    ALICE + "action: delete, id: theirs, expect: not_found",
    ALICE
    + "action: update, id: mine, change: {title: New}, expect: allowed, stored: {title: New, seen: alice, salary: 5}",
    ALICE
    + "action: update, id: mine, change: {$set: {pay.month: 3}}, expect: allowed, stored: {pay: {month: 3, bonus: 2}}",
    ALICE + "action: update, id: mine, change: {salary: 6}, expect: forbidden",
    ALICE + "action: update, id: mine, change: {owner: bob}, expect: forbidden",
    ALICE + "action: update, id: locked, change: {title: New}, expect: forbidden",
    ALICE + "action: update, id: mine, change: {title: 5}, expect: schema_validation",
    ALICE + "action: update, id: mine, change: {$nope: {a: 1}}, expect: bad_request",
    ALICE + "action: update, id: done, change: {title: New}, expect: forbidden",
    ALICE + "action: update, id: theirs, change: {title: New}, expect: not_found",
    ALICE
    + "action: create, document: {title: New}, expect: allowed, stored: {owner: alice, t: acme, status: open, seen: alice}",
    ALICE + "action: create, document: {title: New, salary: 1}, expect: forbidden",
    ALICE + "action: create, document: {title: New, status: locked}, expect: forbidden",
    ALICE + "action: create, document: {}, expect: schema_validation",
    "principal: guest, action: create, collection: notes, document: {title: x}, expect: forbidden",
    "principal: boss, action: read, collection: notes, ids: []",
    "principal: boss, action: read, collection: notes, request: {ip: 10.0.0.1}, ids: [locked]",
    "principal: boss, action: read, collection: notes, request: {ip: 10.0.0.1}, now: 2026-01-01, ids: []",
    "principal: boss, action: read, collection: plain, ids: [first]",
]


@pytest.mark.parametrize("test", RIGHT)
def test_what_is_so_passes(tmp_path, test):
    assert faults(tmp_path, test) == ""


WRONG = [
    (GUEST + "ids: []", "'done' should not be there\n  policy.yml:5:13: allow of 'viewer' holds"),
    (GUEST + "ids: [done, mine]", "'mine' is missing\n  policy.yml:5:13: allow of 'viewer' does not hold"),
    (GUEST + "ids: [done, theirs]", "'t' of the document is 'evil', the principal's tenant is 'acme'"),
    (GUEST + "ids: {done: {fields: [title]}}", "not expected, and shown: pay.month"),
    (GUEST + "ids: {done: {fields: [title, pay]}}", "expected 'pay' shown; got it hidden or masked"),
    (GUEST + "ids: {done: {fields: [title, pay.month, salary]}}", "expected 'salary' shown; got it hidden or masked"),
    (GUEST + "ids: {done: {fields: [title, pay.month, at]}}", "the document has no such field"),
    (GUEST + "ids: {done: {hidden: [title]}}", "expected 'title' hidden; got it shown"),
    (GUEST + "ids: {done: {hidden: [email]}}", "expected 'email' hidden; got it masked by 'email'"),
    (GUEST + "ids: {done: {hidden: [pay]}}", "expected 'pay' hidden; got it shown in part: pay.month"),
    (GUEST + "ids: {done: {masks: {email: last4}}}", "expected 'email' masked by 'last4'; got it masked by 'email'"),
    (GUEST + "ids: {done: {masks: {title: email}}}", "expected 'title' masked by 'email'; got it shown"),
    (GUEST + "ids: {done: {masks: {salary: email}}}", "got it hidden"),
    (GUEST + "ids: {done: {masks: {email: bob}}}", 'masked as "bob"; got ["b***@acme.example"] (email)'),
    (GUEST + "ids: {done: {masks: {title: Done}}}", "(raw)"),
    (ALICE + "action: delete, ids: [mine, locked]", "policy.yml:8:9: deny of 'user' holds, and so denies"),
    (ALICE + "action: delete, ids: [mine, theirs]", "it can't be read:"),
    (ALICE + "action: purge, ids: [mine]", "no rule of these roles has purge in notes"),
    (ALICE + "action: update, ids: {mine: {writable: [title]}, locked: }", "writable: at, email, lines.sku, pay.bonus"),
    (ALICE + "action: update, ids: {mine: {writable: [salary]}, locked: }", "expected 'salary' writable; got salary refused"),
    (ALICE + "action: delete, id: locked, expect: allowed", "expected allowed; got forbidden"),
    (ALICE + "action: delete, id: mine, expect: not_found", "expected not_found; got allowed"),
    (ALICE + "action: update, id: mine, change: {salary: 6}, expect: allowed", "not permitted field (salary)"),
    (ALICE + "action: update, id: mine, change: {title: New}, expect: allowed, stored: {title: Old}", 'expected "Old"; got "New"'),
    (ALICE + "action: update, id: mine, change: {title: New}, expect: allowed, stored: {at: 2026-01-01}", "no such field"),
    (ALICE + "action: create, document: {title: 5}, expect: allowed", "got schema_validation"),
]  # fmt: skip


@pytest.mark.parametrize(("test", "fault"), WRONG)
def test_what_is_not_so_fails_and_says_why(tmp_path, test, fault):
    assert fault in faults(tmp_path, test)


def test_a_deny_that_no_document_escapes_is_seen(tmp_path):
    policy = POLICY.replace("when: \"resource.status == 'locked'\"}", "when: resource.salary > 7}")
    (result,) = run_tests(
        load_config(a_folder(tmp_path, ALICE + "action: delete, ids: [mine, locked]", policy=policy), {})
    )
    assert "deny of 'user' is unknown, and so denies" in result.faults[1]


# -- at load


def test_a_configuration_whose_tests_fail_is_not_handed_out(tmp_path):
    folder = a_folder(tmp_path, GUEST + "ids: [done]", "name: none, " + GUEST + "ids: []")
    load_config(folder, {})
    with pytest.raises(Misconfigured) as caught:
        load_tested(folder, {})
    (finding,) = caught.value.findings
    assert str(finding).startswith("policy_tests.yml:17:5: policy test 'none' fails: expected read of: none; got: done")
    a_folder(tmp_path, GUEST + "ids: [done]")
    assert load_tested(folder, {}).tests


@pytest.mark.parametrize("command", [["check"], ["serve", "--port", "0", "--config"]])
def test_neither_check_nor_serve_takes_it(tmp_path, capsys, command):
    a_folder(tmp_path, "name: none, " + GUEST + "ids: []")
    assert main([*command, str(tmp_path)]) == 1
    assert "policy_tests.yml:16:5: policy test 'none' fails" in "".join(capsys.readouterr())


def test_only_tested_configurations_are_served():
    """Whoever serves or reloads loads by `load_tested`; tokens, purge and policy commands need no passing tests."""
    users = {
        path.relative_to(ROOT / "permission_mongo").as_posix()
        for path in (ROOT / "permission_mongo").rglob("*.py")
        if "import load_config" in path.read_text()
    }
    not_served = {f"cli/{name}.py" for name in ("credentials", "openapi", "options", "revocations")}
    assert users == {*not_served, "trials/load.py"}


# -- mistakes


@pytest.mark.parametrize(
    ("test", "told"),
    [
        (GUEST + "idz: [done]", "unknown key 'idz'; did you mean 'id'?"),
        (GUEST + "ids: [don]", "no document of 'notes' is called 'don'; did you mean 'done'?"),
        (
            "principal: gast, action: read, collection: notes, ids: []",
            "unknown principal 'gast'; did you mean 'guest'?",
        ),
        ("principal: guest, action: raed, collection: notes, ids: []", "unknown action 'raed'; did you mean 'read'?"),
        (
            "principal: guest, action: read, collection: note, ids: []",
            "unknown collection 'note'; did you mean 'notes'?",
        ),
        ("action: read, collection: notes, ids: []", "a test names its 'principal'"),
        (GUEST + "ids: [], expect: allowed", "either `ids`"),
        ("principal: guest, action: read, collection: notes", "either `ids`"),
        (GUEST + "ids: {done: {fields: [titel]}}", "has no field 'titel'; did you mean 'title'?"),
        (GUEST + "ids: {done: {mask: {email: email}}}", "unknown key 'mask'; did you mean 'masks'?"),
        (GUEST + "ids: {done: {writable: [title]}}", "'writable' is asked of the action update"),
        (ALICE + "action: delete, ids: {mine: {hidden: [title]}}", "what is shown is asked of the action read"),
        (ALICE + "action: delete, id: mine, expect: alowed", "is one of allowed"),
        (ALICE + "action: delete, id: mine, change: {a: 1}, expect: allowed", "'change' is for the action update"),
        (
            ALICE + "action: update, change: {a: 1}, expect: allowed",
            "'change' is for the action update of the document",
        ),
        (ALICE + "action: create, id: mine, document: {}, expect: allowed", "a create names no `id`"),
        (ALICE + "action: create, ids: []", "a create has no `ids`"),
        (ALICE + "action: read, document: {}, expect: allowed", "'document' is for the action create"),
        (ALICE + "action: delete, id: mine, expect: allowed, stored: {title: x}", "'stored' is asked of a create"),
        (GUEST + "id: done, ids: [done]", "'id' stands beside `expect`"),
        (GUEST + "request: {ipp: x}, ids: []", "unknown key 'ipp'"),
        (GUEST + "now: soon, ids: []", "'now' expects a date"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path, test, told):
    with pytest.raises(Misconfigured) as caught:
        load_config(a_folder(tmp_path, test), {})
    assert any(told in finding.message and finding.line == 16 for finding in caught.value.findings), caught.value


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("roles: [viewer]", "roles: [viwer]", "unknown role 'viwer'; did you mean 'viewer'?"),
        ("title: Mine", "titel: Mine", "has no field 'titel'; did you mean 'title'?"),
        ("salary: 5", "salary: much", "'salary': expected a number"),
        ("    mine:", "    mine: {_id: done, t: x}\n    other:", "has the `_id` of 'mine'"),
        ("  plain:\n", "  plane:\n", "unknown collection 'plane'; did you mean 'plain'?"),
        ("{sub: b,", "{sub: b, tennant: x,", "unknown key 'tennant'; did you mean 'tenant'?"),
        ("now:", "nov: 1\nnow:", "unknown key 'nov'; did you mean 'now'?"),
    ],
)
def test_mistakes_in_principals_and_documents(tmp_path, old, new, told):
    with pytest.raises(Misconfigured) as caught:
        load_config(a_folder(tmp_path, GUEST + "ids: []", head=HEAD.replace(old, new, 1)), {})
    assert told in str(caught.value)


def test_every_key_is_documented():
    page = (ROOT / "docs/policy-tests.md").read_text()
    source = (ROOT / "permission_mongo/config/policy_tests.py").read_text()
    keys = {
        "sub",
        "tenant",
        "roles",
        "claims",
        "subordinates",
        "direct_reports",
        "ancestors",
        "name",
        "principal",
        "action",
        "collection",
        "ids",
    }
    keys |= {"expect", "id", "change", "document", "stored", "now", "request", "fields", "hidden", "masks", "writable"}
    assert {key for key in keys if f"`{key}`" not in page or f'"{key}"' not in source} == set()


# -- the command


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = main(["policy", "test", *map(str, arguments)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_the_shipped_tests_pass_and_touch_every_rule(capsys):
    code, out, _ = run(capsys, ROOT / "config", "--coverage", "--min-coverage", "100")
    assert (code, "all passed" in out, "untouched" in out, "never refused" in out) == (0, True, False, False)


def test_exit_codes(tmp_path, capsys):
    folder = a_folder(tmp_path, GUEST + "ids: [done]", "name: none, " + GUEST + "ids: []")
    assert run(capsys, folder)[0] == 1
    assert run(capsys, folder, "--only", "guest")[0] == 0
    assert run(capsys, folder, "--only", "nothing")[0] == 2
    assert run(capsys, folder, "--only", "guest", "--min-coverage", "90")[0] == 1
    (folder / "policy_tests.yml").write_text("tests: [{}]")
    assert run(capsys, folder)[0] == 2
    (folder / "policy_tests.yml").unlink()
    assert run(capsys, folder)[0] == 2


def test_coverage_names_what_no_test_touches_and_what_none_refuses(tmp_path, capsys):
    code, out, _ = run(capsys, a_folder(tmp_path, ALICE + "action: delete, id: mine, expect: allowed"), "--coverage")
    lines = out.splitlines()
    assert code == 0
    assert "policy.yml:8:9: deny delete of 'user' in notes: untouched" in lines
    assert "policy.yml:7:9: allow create/read/update/delete/restore of 'user' in notes: never refused" in lines
    assert "policy.yml:5:13: allow read of 'viewer' in notes: untouched" in lines
    assert "policy.yml:11:11: allow read of 'boss' in plain: untouched" in lines
    assert lines[-1] == "1 of 5 rules touched (20 %)"


HOSTILE = "name: \"a # <b> & 'c' \\u0007 \\\\ d\", "


def test_tap(tmp_path, capsys):
    code, out, _ = run(capsys, a_folder(tmp_path, GUEST + "ids: [done]", HOSTILE + GUEST + "ids: []"), "--tap")
    lines = out.splitlines()
    assert code == 1
    assert lines[:3] == ["TAP version 14", "1..2", "ok 1 - guest read notes"]
    assert lines[3].startswith("not ok 2 - a \\# <b> & 'c'")
    assert lines[3].endswith("\\\\ d")
    assert lines[4] == "  ---"
    assert lines[-1] == "  ..."


def test_junit(tmp_path, capsys):
    folder = a_folder(tmp_path, GUEST + "ids: [done]", HOSTILE + GUEST + "ids: []")
    assert run(capsys, folder, "--junit", tmp_path / "out.xml")[0] == 1
    root = ElementTree.parse(tmp_path / "out.xml").getroot()
    assert (root.tag, root.attrib["tests"], root.attrib["failures"]) == ("testsuites", "2", "1")
    cases = root.findall("testsuite/testcase")
    assert [case.attrib["name"] for case in cases] == ["guest read notes", "a # <b> & 'c' \ufffd \\ d"]
    assert cases[0].find("failure") is None
    assert "expected read of: none; got: done" in cases[1].find("failure").text
    assert main(["policy", "test", str(folder), "--junit", str(tmp_path / "no" / "out.xml")]) == 3


def test_json(tmp_path, capsys):
    folder = a_folder(tmp_path, GUEST + "ids: [done]", "name: none, " + GUEST + "ids: []")
    found = json.loads(run(capsys, folder, "--json", "--coverage")[1])
    assert (found["passed"], found["failed"]) == (1, 1)
    assert [test["at"] for test in found["tests"]] == ["policy_tests.yml:16:5", "policy_tests.yml:17:5"]
    assert found["coverage"]["percent"] == 20.0


# -- cost


def test_two_hundred_tests_of_five_thousand_rules_are_cheap(tmp_path):
    """A start must not wait for them: Casbin is asked of the lines of one collection and action alone."""
    names = [f"c{n}" for n in range(50)]
    schema = "settings: {id_type: string}\ncollections:\n" + "".join(
        f"  {one}: {{fields: {{n: {{type: integer}}}}}}\n" for one in names
    )
    policy = "roles: {" + ", ".join(f"r{n}: {{}}" for n in range(100)) + "}\npolicies:\n"
    for name in names:
        policy += f"  {name}:\n" + "".join(
            f"    r{n}: {{actions: [read, delete], when: resource.n > {n}}}\n" for n in range(100)
        )
    tests = "principals: {" + ", ".join(f"p{n}: {{roles: [r{n}]}}" for n in range(20)) + "}\ndocuments:\n"
    tests += "".join(f"  {one}: {{a: {{n: 5}}, b: {{n: 500}}}}\n" for one in names) + "tests:\n"
    for n in range(200):
        ids = "[a, b]" if n % 20 < 5 else "[b]"
        tests += (
            f"  - {{principal: p{n % 20}, action: {('read', 'delete')[n % 2]}, collection: c{n % 50}, ids: {ids}}}\n"
        )
    for name, text in (("config.yaml", "auth: {secret: '0123456789012345678901234567890123456789'}\n"), ("schema.yml", schema), ("policy.yml", policy), ("policy_tests.yml", tests)):  # fmt: skip
        (tmp_path / name).write_text(text)
    config = load_config(tmp_path, {})
    begun = time.process_time()
    results = run_tests(config)
    assert time.process_time() - begun < 1.0
    assert len(results) == 200
    assert [result.faults for result in results if result.faults] == []


def test_the_module_runs(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "permission_mongo", "policy", "test", str(ROOT / "config")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_no_hook_is_run(tmp_path):
    """Neither one that would refuse nor one that wants a number, which only MongoDB has."""
    folder = a_folder(
        tmp_path,
        "name: made, principal: alice, action: create, collection: notes, document: {title: T}, expect: allowed",
        "name: changed, principal: alice, action: update, collection: notes, id: mine, change: {title: T}, expect: allowed",
    )
    (folder / "hooks.yml").write_text(
        """
hooks:
  notes:
    pre_create:
      - {action: validate, condition: "$new.title == 'never'", error: no}
      - {action: set_field, field: salary, value: $auto.sequence.notes}
    pre_update: [{action: validate, condition: "$new.title == 'never'", error: no}]
"""
    )
    assert main(["policy", "test", str(folder)]) == 0
