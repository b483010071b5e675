"""What exists is named in the documentation, and what the README shows is real."""

import argparse
import ast
import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from permission_mongo.api import errors as api_errors
from permission_mongo.api.doors import DOORS
from permission_mongo.api.routes import CONSOLE, METRICS, ROUTES
from permission_mongo.cli.main import _parser
from permission_mongo.config.load import load_config
from permission_mongo.config.section import Section
from permission_mongo.errors import Misconfigured, Refusal
from permission_mongo.metrics import Metrics
from permission_mongo.policy import parser as when
from permission_mongo.policy.construction import RELATIONS
from permission_mongo.query.expressions import EXPRESSIONS
from permission_mongo.query.filters import OPERATORS
from permission_mongo.query.pipeline import ACCUMULATORS, STAGES
from permission_mongo.schema.computed import OPERATORS as COMPUTED_OPERATORS
from tests.pages import prose
from tests.test_numbered import FAULTS, THREATS, names_of_tests, numbers_in

ROOT = Path(__file__).parent.parent
HTTP, ERRORS, CONFIGURATION, COMMANDS, OBSERVABILITY = (
    (ROOT / "docs" / f"{name}.md").read_text()
    for name in ("http-api", "errors", "configuration", "commands", "observability")
)
README = (ROOT / "README.md").read_text()

# Names that begin with `my_` are ours to choose; every other key is one of the language.
SCHEMA = """
settings: {default_tenant_field: my_tenant}
collections:
  my_notes:
    access: {owner_field: null}
    hierarchy: {user_id_field: _id, manager_field: my_parent}
    versioning: {enabled: true, mode: diff, max_versions: 9, retention_days: 9, deleted_days: 9}
    list: {default_limit: 5}
    indexes: [{fields: [my_title]}]
    fields:
      _id: {type: objectId}
      my_tenant: {type: string}
      my_title: {type: string, format: email}
      my_tags: {type: array, items: {type: string}}
      my_pay: {type: object, properties: {my_month: {type: number}}}
      my_parent: {type: objectId, ref: {collection: my_notes}}
      my_photo: {type: blob}
      my_length: {type: integer, computed: {$strLenCP: $my_title}}
"""
POLICY = """
roles: {my_user: {}}
templates: {my_rules: {my_user: {actions: [read]}}}
policies:
  my_notes:
    use: [my_rules]
    my_user:
      - {actions: [create], when: "true", check: "true", fields: {mask: {my_title: email}}, set: {my_title: x}}
      - {effect: deny, actions: [read], fields: [my_pay]}
"""

_HTTP = "action: http, url: 'https://example.com', secret: my_secret_of_this_one_hook"
HOOKS = f"""
hooks:
  my_notes:
    pre_create:
      - {{action: set_field, field: my_pay.my_month, value: 1, condition: "true"}}
      - {{action: transform, field: my_tags, with: lower}}
      - {{action: validate, condition: "true", error: my_error}}
      - {{action: validate_ref, field: my_parent, collection: my_notes}}
      - {{{_HTTP}}}
    post_create: [{{{_HTTP}}}]
"""


def classes(root: type) -> Iterator[type]:
    for one in root.__subclasses__():
        yield one
        yield from classes(one)


def page_part(text: str, heading: str) -> str:
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


# -- the API


def test_every_error_code_is_documented_with_its_status():
    codes = {one.code for one in classes(Refusal) if one.__module__.startswith("permission_mongo.")}
    assert codes == set(api_errors.STATUS)
    rows = set(re.findall(r"^\| (\d{3}) \| `(\w+)` \|", page_part(ERRORS, "Codes"), re.MULTILINE))
    assert rows == {(str(status), code) for code, status in api_errors.STATUS.items()}


def test_every_code_of_a_broken_schema_is_documented_and_no_other():
    rows = set(re.findall(r"^\| `(\w+)` \|", page_part(ERRORS, "Codes of `details.errors`"), re.MULTILINE))
    told: set[str] = set()
    words: set[object] = set()
    for source in (ROOT / "permission_mongo").rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            words |= {node.value} if isinstance(node, ast.Constant) and isinstance(node.value, str) else set()
            if isinstance(node, ast.Call) and len(node.args) > 1 and isinstance(node.args[1], ast.Constant):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name == "FieldError" or (name == "wrong" and source.name == "validate.py"):
                    told.add(str(node.args[1].value))
    assert len(told) > 12
    assert told - rows == set()
    assert rows - words == set()


def test_every_route_is_documented_and_no_other():
    routes = {f"{method} {path}" for method, path, _ in (METRICS, *ROUTES, *CONSOLE)}
    assert set(re.findall(r"^\| `([A-Z]+ /\S*)` \|", page_part(HTTP, "Routes"), re.MULTILINE)) == routes


def test_every_route_of_a_door_is_documented_and_no_other():
    routes = {f"{method} {path}" for door in DOORS.values() for method, path, _ in door.routes}
    doors = (ROOT / "docs" / "reference" / "doors.md").read_text()
    rows = re.findall(r"^\| `([A-Z]+) (\[(\S+)\])?(/\S*)` \|", doors, re.MULTILINE)
    told = {f"{method} {at}{path}" for method, _, prefix, path in rows for at in {"", prefix}}
    assert told == routes


def test_every_filter_operator_and_batch_option_is_documented():
    for operator in OPERATORS:
        assert re.search(rf"[ `]{re.escape(operator)}[ `]", page_part(HTTP, "Lists")), operator
    parsing = ast.parse((ROOT / "permission_mongo/parsing/batches.py").read_text())
    options = next(
        ast.literal_eval(node.value)
        for node in ast.walk(parsing)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "_OPTIONS"
    )
    rows = re.findall(r"^\| `(\w+)` \|", page_part(HTTP, "Batches"), re.MULTILINE)
    assert sorted(options) == sorted(rows)


def test_every_stage_accumulator_and_expression_operator_is_documented_and_no_other():
    """A table: a row each for stages and accumulators, the rest operators of expressions."""
    part = page_part(HTTP, "Aggregations")
    found = re.findall(r"^\| ([\w ]+) \| `(\$[^`]+)` \|$", part, re.MULTILINE)
    rows = {name: set(taken.split()) for name, taken in found}
    assert (rows.pop("stages"), rows.pop("accumulators")) == (STAGES, ACCUMULATORS)
    assert set().union(*rows.values()) == EXPRESSIONS


# -- the configuration


@pytest.fixture(scope="module")
def keys_read(tmp_path_factory) -> dict[str, set[str]]:
    """The dotted keys the readers ask for, by file: noted while a configuration with every kind of section is read."""
    folder = tmp_path_factory.mktemp("config")
    for name, text in (("config.yaml", ""), ("schema.yml", SCHEMA), ("policy.yml", POLICY), ("hooks.yml", HOOKS)):
        (folder / name).write_text(text)
    noted: dict[str, set[str]] = {}
    raw, unavailable = Section.raw, Section.unavailable

    def note(section: Section, *keys: str) -> None:
        noted.setdefault(section.node.mark.file, set()).update(section._path(key) for key in keys)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Section, "raw", lambda self, key: (note(self, key), raw(self, key))[1])
        patch.setattr(Section, "unavailable", lambda self, *keys: (note(self, *keys), unavailable(self, *keys))[1])
        try:
            load_config(folder, {})
        except Misconfigured as error:
            pytest.fail(f"the sample is not taken: {error}")
    return noted


def literal_keys(name: str) -> set[str]:
    """Every text that a reader hands to a getter of its section, by the source."""
    getters = {name for name, one in vars(Section).items() if callable(one) and not name.startswith("_")}
    getters -= {"done", "wrong", "mark", "has", "sections"}
    helpers = {"_file": 1, "_id_type": None, "_expression": 0, "_paths": 1}  # pass a key on to a getter
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / "permission_mongo/config" / name).read_text())):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in getters and isinstance(node.func, ast.Attribute):
            handed = node.args if called == "unavailable" else node.args[:1]
        elif helpers.get(called) is not None:
            handed = node.args[helpers[called] :][:1]
        else:
            continue
        found |= {one.value for one in handed if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    return found


FILES = {
    "config.yaml": ("server.py",),
    "schema.yml": ("schema.py", "fields.py", "indexes.py", "computed.py", "hierarchy.py"),
    "policy.yml": ("policy.py",),
    "hooks.yml": ("hooks.py", "receivers.py"),
}


@pytest.mark.parametrize("file", FILES)
def test_the_sample_makes_the_readers_ask_for_every_key_they_know(keys_read, file):
    last = {path.split(".")[-1] for path in keys_read[file]}
    asked_for = set().union(*map(literal_keys, FILES[file]))
    assert len(asked_for) > 10
    assert asked_for - last == set()


@pytest.mark.parametrize("file", FILES)
def test_every_key_is_documented_in_the_part_of_its_file(keys_read, file):
    part = page_part(CONFIGURATION, file)
    quoted = set(re.findall(r"`([^`\s]+)`", part)) | {
        word for text in re.findall(r"`([^`]+)`", part) for word in re.findall(r"\w+", text)
    }
    if file == "config.yaml":  # whole paths, sections themselves apart
        paths = keys_read[file]
        wanted = {path for path in paths if not any(other.startswith(path + ".") for other in paths)}
        assert len(wanted) > 40
    else:
        wanted = {path.split(".")[-1] for path in keys_read[file]}
        wanted = {key for key in wanted if not key.startswith("my_")}
        assert len(wanted) > 20
    assert {key for key in wanted if key not in quoted} == set()


def test_every_operator_of_a_computed_field_is_documented():
    part = page_part(CONFIGURATION, "schema.yml")
    assert [one for one in COMPUTED_OPERATORS if not re.search(rf"[ `]{re.escape(one)}[ `]", part)] == []


def test_no_key_is_documented_that_the_reader_of_config_yaml_does_not_know(keys_read):
    documented = set(re.findall(r"^\| `([\w.]+)` \|", page_part(CONFIGURATION, "config.yaml"), re.MULTILINE))
    assert documented - keys_read["config.yaml"] == set()


def test_every_word_of_the_when_language_is_documented():
    table = prose(ROOT / "docs/policy-language.md").split("\n## Meaning\n")[0]
    quoted = " ".join(re.findall(r"`([^`]+)`", table)).replace("\\", "")
    words = set(re.findall(r"[\w$]+", quoted))
    assert {*when._RESERVED, *when._REQUEST, *RELATIONS} - words == set()
    assert {*when._COMPARATORS, "||", "&&"} - set(quoted.split()) == set()
    for name in ("has", "startsWith", "containsAny", "containsAll", "any"):  # and each is shown with what it takes
        assert re.search(rf"`{name}\([^`]+\)`", table), name


# -- operations


def test_every_metric_is_documented_with_its_kind_and_labels_and_no_other():
    rows = re.findall(r"^\| `(permission_mongo_\w+)` \| (\w+) \| ([\w, ]*)\|", OBSERVABILITY, re.MULTILINE)
    told = {name: (kind, tuple(re.findall(r"\w+", labels))) for name, kind, labels in rows}
    assert len(told) == len(rows)
    registry = Metrics().registry
    families = {one.name: one for one in registry.collect()}
    of_each = {name: one for one in registry._collector_to_names for name in [one._name]}
    made = {
        name + ("_total" if family.type == "counter" else ""): (family.type, of_each[name]._labelnames)
        for name, family in families.items()
    }
    assert told == made


def commands(parser: argparse.ArgumentParser, words: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield words, parser
    for action in below:
        for name, inner in action.choices.items():
            yield from commands(inner, f"{words} {name}")


def test_every_command_and_option_is_documented():
    part = COMMANDS
    found = list(commands(_parser(), "permission-mongo"))
    assert len(found) >= 6
    for words, parser in found:
        row = next((line for line in part.splitlines() if line.startswith(f"| `{words}")), None)
        assert row is not None, words
        options = {text for action in parser._actions for text in action.option_strings if text.startswith("--")}
        shared = {"--help"} if words.endswith("serve") else {"--help", "--config"}
        assert {option for option in options - shared if option not in row} == set(), words


# -- the README


def shell_lines(text: str) -> list[str]:
    return [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines() if line]


def test_the_lines_to_try_are_those_that_the_example_prints():
    source = ast.parse((ROOT / "examples/company/run.py").read_text())
    printed = next(
        ast.literal_eval(node.value)
        for node in source.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "TRY"
    )
    assert "curl" in printed
    assert printed.strip() in README


def test_the_policy_that_is_shown_is_the_one_that_is_shipped():
    shown = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert shown is not None
    assert textwrap.indent(shown[1], "  ") in (ROOT / "config/policy.yml").read_text()


def test_every_make_target_and_command_that_is_named_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    pages = [README, *(path.read_text() for path in (ROOT / "docs").rglob("*.md"))]
    lines = [line for page in pages for line in (*shell_lines(page), *re.findall(r"`([^`\n]+)`", page))]
    made = [line for line in lines if line.startswith("make ")]
    assert made
    assert {line.split()[1] for line in made} - targets == set()
    known = [words for words, _ in commands(_parser(), "permission-mongo")]
    named = [line for line in lines if line.startswith("permission-mongo ")]
    assert named
    assert [line for line in named if not any(f"{line} ".startswith(f"{words} ") for words in known)] == []


def test_every_link_and_named_file_is_there():
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "examples/company/README.md"):
        text = page.read_text()
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
        for named in re.findall(r"`((?:tests|docs|config|examples)/[\w/.]+\.\w+)`", text):
            assert (ROOT / named).exists(), f"{page.name}: {named}"


def test_the_commands_of_the_readme_are_understood():
    for line in re.findall(r"`(permission-mongo check [^`]+)`", README):
        assert _parser().parse_args(shlex.split(line)[1:])


# -- threats and faults


def rows_of_numbers(page: str, letter: str) -> dict[str, str]:
    """The text of each table row that begins with such a number, several of one number joined."""
    found: dict[str, str] = {}
    for number, rest in re.findall(rf"^\| ({letter}\d+) \|(.*)\|$", (ROOT / "docs" / page).read_text(), re.MULTILINE):
        found[number] = found.get(number, "") + rest
    return found


@pytest.fixture(scope="module")
def borne() -> dict[str, set[str]]:
    """By number the files in which a test bears it."""
    found: dict[str, set[str]] = {}
    for file, name in names_of_tests():
        for number in numbers_in(name):
            found.setdefault(number, set()).add(file)
    return found


@pytest.mark.parametrize(("page", "letter", "known"), [("threats.md", "T", THREATS), ("faults.md", "F", FAULTS)])
def test_every_threat_and_fault_is_documented_and_tried_and_no_other(borne, page, letter, known):
    rows = rows_of_numbers(page, letter)
    assert set(rows) == set(known)
    assert {number for number in borne if number.startswith(letter)} == set(known)
    for number, text in rows.items():
        files = {Path(named).stem for named in re.findall(r"`([\w/]*test_\w+)\.py`", text)}
        assert files & borne[number], f"{number} names no test that bears it"
        assert letter == "F" or files <= borne[number], f"{number}: no test of {files - borne[number]} bears it"


def test_a_threat_is_told_in_the_words_of_the_tests():
    told = {number: text.split(" | ")[0].strip() for number, text in rows_of_numbers("threats.md", "T").items()}
    assert told == THREATS


def test_the_architecture_has_a_place_for_every_module_of_the_package_and_of_the_api():
    words = set(re.findall(r"[a-z_]+", (ROOT / "docs" / "architecture.md").read_text()))
    package = ROOT / "permission_mongo"
    files = {one.stem for one in (*package.glob("*.py"), *(package / "api").glob("*.py"))}
    assert {one for one in files if not one.startswith("__")} <= words
