"""The JSON Schemas and the readers are of one mind: the same keys, at the same places, and the same files taken."""

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from permission_mongo.cli.main import main
from permission_mongo.cli.shapes import written
from permission_mongo.config.load import load_config
from permission_mongo.config.section import Section, plain
from permission_mongo.config.shapes.table import SHAPES
from permission_mongo.config.yaml import read_yaml
from permission_mongo.hooks import EVENTS
from tests.http import harness
from tests.linting import test_lints as lints
from tests.test_documented import POLICY, SCHEMA

ROOT = Path(__file__).parents[2]
FILES = {
    "config": "config.yaml",
    "schema": "schema.yml",
    "policy": "policy.yml",
    "hooks": "hooks.yml",
    "policy_tests": "policy_tests.yml",
}
HERE = Path(__file__).parent
ASKED = """{action: http, url: "https://example.com/a", secret: 0123456789abcdef01234567, name: NAME,
        headers: {my_title: x}, on_failure: ignore, condition: "user.id != 'x'", fields: [my_title]}"""
TOLD = """{action: http, url: "https://example.com/a", secret: 0123456789abcdef01234567, name: NAME,
        headers: {my_title: x}, fields: [my_title]}"""
STEPS = """{action: set_field, field: my_pay.my_month, value: 1, condition: "user.id != 'x'"},
        {action: transform, field: my_pay.my_title, with: upper, condition: "user.id != 'x'"},
        {action: validate, condition: "user.id != 'x'", error: no},
        {action: validate_ref, field: my_parent, collection: my_notes, error: no}"""
TESTS = """
principals: {my_user: {tenant: t, roles: [my_user], claims: {a: 1}, subordinates: [a], direct_reports: [a], ancestors: []}}
documents: {my_notes: {my_title: {my_title: A}}}
tests:
  - {principal: my_user, action: read, collection: my_notes, ids: {my_title: {fields: [my_title], hidden: [], masks: {}}}}
  - {principal: my_user, action: update, collection: my_notes, ids: {my_title: {writable: [my_title]}}}
  - {principal: my_user, action: update, collection: my_notes, id: my_title, change: {my_title: B}, expect: allowed,
     now: 2026-03-01T12:00:00Z, request: {ip: 127.0.0.1}, name: a change, stored: {my_title: B}}
  - {principal: my_user, action: create, collection: my_notes, document: {my_title: B}, expect: forbidden}
"""
NESTED = """{type: array, items: {type: object, properties: {
        my_title: {type: string, format: email}, my_parent: {type: objectId, ref: {collection: my_notes}}}}}"""


class Unset(dict):
    """An environment in which every variable stands for itself, as in an editor."""

    def __contains__(self, name):
        return True

    def get(self, name, default=None):
        return f"${{ENV.{name}}}"


def faults(kind: str, text: str) -> list[str]:
    tree, findings = read_yaml(text, FILES[kind], Unset())
    assert [one for one in findings if one.code == "not-yaml"] == []
    return [
        f"{error.json_path}: {error.message}" for error in Draft202012Validator(SHAPES[kind]()).iter_errors(plain(tree))
    ]


# -- the same keys at the same places


def folded(path: str) -> str:
    """A field inside another is one kind of thing, however deep it lies."""
    return re.sub(r"(fields\.\*)(\.inner|\.items|\.properties\.\*)+", r"\1.inner", path)


def keys_of(shape: dict, path: str, known: set[str], root: dict, seen: set[tuple[str, int]]) -> set[str]:
    """The dotted keys of a schema, `*` for names of the writer's choice; below those alone that the readers know."""
    if "$ref" in shape:
        keys_of(root["$defs"][shape["$ref"].removeprefix("#/$defs/")], path, known, root, seen)
    parts = [shape[key] for key in ("then", "else", "items") if isinstance(shape.get(key), dict)]
    for part in (*shape.get("anyOf", ()), *parts):
        keys_of(part, path, known, root, seen)
    below = {**shape.get("properties", {})}
    if isinstance(shape.get("additionalProperties"), dict):
        below["*"] = shape["additionalProperties"]
    for key, inner in below.items():
        own = folded(f"{path}.{key}" if path else key)
        if inner is not False and (own, id(inner)) not in seen:
            seen.add((own, id(inner)))
            if own in known:
                keys_of(inner, own, known, root, seen)
    return {own for own, _ in seen}


CONFIG_OF_ALL = "audit: {storage: mongodb, sink: both, webhook: {url: https://a.example, secret: 0123456789abcdef01234567, headers: {my_title: x}}}\nnamespaces: {my_title: {database: other}}\ndoors: atlas_data_api\n"


@pytest.fixture(scope="module")
def keys_read(tmp_path_factory) -> dict[str, set[str]]:
    """The keys that the readers ask for, noted while a configuration with every kind of section is read."""
    folder = tmp_path_factory.mktemp("config")
    schema = SCHEMA.replace("items: {type: string}", f"items: {NESTED}")
    schema = schema.replace("my_month: {type: number}", "my_month: {type: number}, my_title: {type: string}")
    policy = POLICY.replace(
        "{actions: [read]}", "{actions: [create], fields: {mask: {my_title: email}}, set: {my_title: x}}", 1
    )
    texts = {"config": CONFIG_OF_ALL, "schema": schema, "policy": policy, "policy_tests": TESTS}
    for kind, text in texts.items():
        (folder / FILES[kind]).write_text(text)
    noted: dict[str, set[str]] = {}
    raw = Section.raw

    def note(section: Section, key: str):
        steps = re.sub(r"\[\d\]", "", section._path(key)).split(".")
        own = ("notes", "user", "rules", "tenant", "title", "tags", "pay", "month", "parent", "length", "photo")
        path = ".".join("*" if step in {f"my_{name}" for name in own} else step for step in steps)
        noted.setdefault(section.node.mark.file, set()).add(folded(path))
        return raw(section, key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Section, "raw", note)
        for top in ("hooks", "collections"):
            (folder / "hooks.yml").write_text(f"{top}: {{my_notes: {{{all_hooks()}}}}}")
            load_config(folder, {})
    return noted


def all_hooks() -> str:
    """Every kind of hook at every place where it may stand, each call with a name of its own."""
    told = ", ".join(f"post_{event}: {TOLD.replace('NAME', f'after_{event}')}" for event in EVENTS)
    asked = {event: ASKED.replace("NAME", f"before_{event}") for event in EVENTS}
    steps = ", ".join(f"pre_{event}: [{STEPS}, {asked[event]}]" for event in ("create", "update"))
    return f"{steps}, pre_delete: [{{action: validate, condition: \"user.id != 'x'\"}}, {asked['delete']}], {told}"


@pytest.mark.parametrize("kind", FILES)
def test_the_schema_has_every_key_that_the_reader_takes_and_no_other(keys_read, kind):
    read = keys_read[FILES[kind]]
    if kind == "schema":  # `_id` is a field whose name means something
        read = {path for path in read if "._id" not in path}
    shape = SHAPES[kind]()
    found = keys_of(shape, "", read, shape, set())
    assert len(found) > 25
    assert found - read == set(), "in the schema, and not read"
    assert read - found == set(), "read, and not in the schema"


# -- the same files taken


@pytest.mark.parametrize("kind", FILES)
def test_a_schema_is_one(kind):
    Draft202012Validator.check_schema(SHAPES[kind]())


@pytest.mark.parametrize("folder", ["config", "tests/config/go"])
def test_what_is_shipped_and_the_go_samples_fit(folder):
    found = {kind for kind, name in FILES.items() if (ROOT / folder / name).is_file()}
    assert found >= {"config", "schema", "policy"}
    assert len(found) == 4
    for kind in found:
        assert faults(kind, (ROOT / folder / FILES[kind]).read_text()) == []


def test_all_that_the_keys_were_noted_of_fits():
    assert faults("policy_tests", TESTS) == []
    for top in ("hooks", "collections"):
        assert faults("hooks", f"{top}: {{my_notes: {{{all_hooks()}}}}}") == []


def test_the_quickstart_and_what_other_tests_load_fit():
    assert faults("config", (HERE / "go" / "server.yml").read_text()) == []
    assert faults("schema", SCHEMA) == faults("policy", POLICY) == []
    assert (
        faults("config", harness.CONFIG) == faults("schema", harness.SCHEMA) == faults("policy", harness.POLICY) == []
    )
    for case in lints.CASES.values():
        for policy in (case.raised, *case.also):
            assert faults("policy", policy) == [], policy
        assert faults("schema", case.schema) == []


def test_an_empty_file_and_empty_sections_fit():
    for kind in FILES:
        assert faults(kind, "") == []
    assert faults("policy", "roles: {user: }\npolicies:\n  notes:\n") == []
    assert faults("config", "auth:\nserver:\n") == []


BROKEN = [
    ("01-typo-in-a-key", "config", "databse"),
    ("01-typo-in-a-key", "policy", "actons"),
    ("11-unknown-action-role-and-template", "policy", "creat"),
    ("12-deny-with-a-capital", "policy", "Deny"),
    ("14-no-is-a-text", "config", "public"),
    ("14-no-is-a-text", "config", "port"),
    ("14-no-is-a-text", "schema", "required"),
    ("15-three-files-at-once", "config", "databse"),
    ("15-three-files-at-once", "schema", "type"),
    ("15-three-files-at-once", "schema", "enum"),
    ("15-three-files-at-once", "policy", "craete"),
]


@pytest.mark.parametrize(("folder", "kind", "word"), BROKEN)
def test_what_is_broken_does_not_fit(folder, kind, word):
    assert faults(kind, (HERE / "broken" / folder / FILES[kind]).read_text()) != []


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("config", "server: {port: 70000}"),
        ("config", "limits: {query_timeout: 1:30}"),
        ("config", "limits: {max_body_bytes: 1MB}"),
        ("config", "auth: {algorithm: HS265}"),
        ("config", "audit: {log_reads: often}"),
        ("config", "namespaces: {default: {database: other}}"),
        ("schema", "collections: {health: {}}"),
        ("schema", "collections: {notes: {fields: {a.b: {type: string}}}}"),
        ("schema", "collections: {notes: {fields: {_version: {type: string}}}}"),
        ("schema", "collections: {notes: {fields: {a: {}}}}"),
        ("schema", "collections: {notes: {fields: {a: {type: object, properties: {b: {type: strng}}}}}}"),
        ("schema", "collections: {notes: {indexes: [{unique: true}]}}"),
        ("schema", "collections: {notes: {versioning: {max_versions: 0}}}"),
        ("policy", "policies: {notes: {user: {actions: [read], effect: deny, check: 'true'}}}"),
        ("policy", "policies: {notes: {user: {actions: [read], effect: deny, fields: {deny: [a]}}}}"),
        ("policy", "policies: {notes: {user: {actions: [read], fields: [a]}}}"),
        ("policy", "policies: {notes: {user: {actions: [read], fields: {mask: {a: hidden}}}}}"),
        ("policy", "policies: {notes: {user: {when: 'true'}}}"),
        ("policy", "roles: {user: {system: [root]}}"),
        ("policy", "policies: {notes: {user: [1]}}"),
        ("hooks", "hooks: {notes: {pre_creat: []}}"),
        ("hooks", "hooks: {notes: {pre_create: [{field: title}]}}"),
        ("hooks", "hooks: {notes: {pre_create: [{action: set_feild, field: title, value: x}]}}"),
        ("hooks", "hooks: {notes: {pre_create: [{action: transform, field: title, with: reverse}]}}"),
        ("hooks", "hooks: {notes: {pre_delete: [{action: set_field, field: title, value: x}]}}"),
        ("hooks", "hooks: {notes: {post_update: [{action: validate, condition: 'true'}]}}"),
        ("hooks", "hooks: {notes: {post_update: [{action: http, url: 'https://a.b'}]}}"),
        ("hooks", "hooks: {notes: {post_update: [{action: http, url: x, secret: x, condition: 'true'}]}}"),
        ("hooks", "hooks: {notes: {pre_update: [{action: http, url: x, secret: x, retries: 4}]}}"),
        ("policy_tests", "principals: {ann: {role: [user]}}"),
        ("policy_tests", "tests: [{}]"),
        ("policy_tests", "tests: [{principal: ann, action: read, collection: notes}]"),
        ("policy_tests", "tests: [{principal: ann, action: reed, collection: notes, ids: []}]"),
        ("policy_tests", "tests: [{principal: ann, action: read, collection: notes, expect: no}]"),
        ("policy_tests", "tests: [{principal: ann, action: read, collection: notes, ids: [], expect: allowed}]"),
        ("policy_tests", "tests: [{principal: ann, action: read, collection: notes, ids: {a: {feilds: [b]}}}]"),
        ("policy_tests", "tests: [{principal: ann, action: read, collection: n, ids: [], request: {host: x}}]"),
    ],
)
def test_what_a_reader_refuses_by_its_form_does_not_fit(kind, text):
    assert faults(kind, text) != []


# -- for editors


@pytest.mark.parametrize("kind", SHAPES)
def test_the_schemas_that_are_kept_are_fresh(kind, capsys):
    """To write them anew: for k in config schema policy hooks policy_tests; do permission-mongo schema $k > docs/schemas/$k.json; done"""
    assert main(["schema", kind]) == 0
    assert (ROOT / "docs" / "schemas" / f"{kind}.json").read_text() == capsys.readouterr().out


def test_without_a_name_all_of_them_are_printed(capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(written({kind: shape() for kind, shape in SHAPES.items()}))


@pytest.mark.parametrize("kind", [kind for kind in FILES if kind != "hooks"])
def test_the_shipped_files_name_their_schema(kind):
    file = ROOT / "config" / FILES[kind]
    name = file.read_text().splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert (file.parent / name).resolve() == ROOT / "docs" / "schemas" / f"{kind}.json"
