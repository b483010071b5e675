"""What is found, as people, tools and GitHub read it; and what the command exits with."""

import json

import pytest

from permission_mongo.cli.findings import for_github, for_people
from permission_mongo.cli.main import main
from permission_mongo.errors import Finding
from tests.linting.test_lints import CONFIG, OWN, SCHEMA, policy, reads

CLEAN = policy(f"user {OWN}")
WARNED = policy(f"user {OWN}", "boss {actions: [read], when: resource.ssn == user.ssn}")
BROKEN = policy(reads("resource.titel == 'x'"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("MONGODB_URI", "MONGODB_DATABASE", "SERVER_HOST", "SERVER_PORT"):
        monkeypatch.delenv(name, raising=False)

    def write(policy_text, config=CONFIG):
        for name, text in (("config.yaml", config), ("schema.yml", SCHEMA), ("policy.yml", policy_text)):
            (tmp_path / name).write_text(text)
        return str(tmp_path)

    return write


@pytest.mark.parametrize(
    ("text", "options", "code"),
    [
        (CLEAN, [], 0),
        (CLEAN, ["--strict"], 0),
        (WARNED, [], 0),
        (WARNED, ["--strict"], 1),
        (WARNED, ["--strict", "--json"], 1),
        (WARNED, ["--github"], 0),
        (BROKEN, [], 1),
        (BROKEN, ["--github"], 1),
        (policy(reads("resource.owner_id == user.id")), ["--strict"], 0),  # a notice alone
    ],
)
def test_the_exit_code_says_what_was_found(folder, text, options, code):
    assert main(["check", folder(text), *options]) == code


def test_wrong_use_exits_with_2(folder, tmp_path, capsys):
    assert main(["check", str(tmp_path / "nowhere")]) == 2
    assert main(["check", folder(CLEAN), "--uri", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50"]) == 2
    assert "MongoDB does not answer" in capsys.readouterr().err
    assert main(["check", folder(CLEAN), "--uri", "nonsense://"]) == 2
    for options in (["--json", "--github"], ["--strange"], []):
        with pytest.raises(SystemExit) as caught:
            main(["check", *([folder(CLEAN)] if options else []), *options])
        assert caught.value.code == 2


def test_json_has_the_documented_shape(folder, capsys):
    assert main(["check", folder(BROKEN), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "findings": [
            {
                "code": "unknown-field",
                "severity": "error",
                "message": "'notes' has no field 'titel'; did you mean 'title'?",
                "file": "policy.yml",
                "line": 5,
                "column": 37,
                "suggestion": "title",
            }
        ],
        "errors": 1,
        "warnings": 0,
        "notices": 0,
    }


def test_json_tells_lints_with_what_to_add(folder, capsys):
    main(["check", folder(WARNED), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert [(one["code"], one["suggestion"]) for one in told["findings"]] == [
        ("no-index", "- fields: [tenant_id, ssn]")
    ]
    assert told["warnings"] == 1


def test_people_see_the_line_a_caret_and_what_to_write(folder, capsys):
    main(["check", folder(WARNED)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("policy.yml:6:36: warning: no index")
    assert lines[0].endswith("[no-index]")
    assert lines[2].index("^") == lines[1].index("resource.ssn")
    assert lines[3] == "      = add: - fields: [tenant_id, ssn]"
    assert lines[4].endswith("1 collections, 2 roles, 2 rules: 1 warning")


def test_a_waived_lint_is_not_told_and_a_mistake_is(folder, capsys):
    waived = WARNED.replace("user.ssn}]", "user.ssn}]  # check: ignore no-index")
    assert main(["check", folder(waived), "--strict"]) == 0
    assert "fine" in capsys.readouterr().out
    assert main(["check", folder(BROKEN.replace("}]", "}]  # check: ignore unknown-field"))]) == 1


def test_a_caret_stands_below_its_sign_behind_tabs_and_in_long_lines():
    told = for_people(Finding("policy.yml", 1, 3, "m"), {"policy.yml": ["\tab"]})
    assert told.splitlines()[1:] == ["    1 | \tab", "      | \t ^"]
    line = "x" * 500 + "!" + "y" * 500
    _, shown, caret = for_people(Finding("policy.yml", 1, 501, "m"), {"policy.yml": [line]}).splitlines()
    assert shown[caret.index("^")] == "!"
    assert len(shown) < 200


def test_a_place_that_is_not_there_shows_no_line():
    for line in (0, 5):
        assert for_people(Finding("policy.yml", line, 1, "m"), {"policy.yml": ["a"]}).count("\n") == 0


@pytest.mark.parametrize(
    "config",
    [
        "auth: {secret: canary}\n",
        "auth:\n  secret:\n    canary\n",
        "auth: {secret: >\n    canary\n  }\n",
        "auth:\n  secret: |\n    canary\n    canary: 1\n  oops: 1\n bad\n",
        "server:\n  secret: canary\n  port: canary-free\n",
        "mongodb:\n  uri: 'http://user:canary@host'\n",
        "mongodb: {\n  uri:\n 'http://user:canary@host'}\n",
    ],
)
@pytest.mark.parametrize("form", ["--json", "--github", "--strict"])
def test_no_report_shows_a_secret(folder, capsys, config, form):
    assert main(["check", folder(CLEAN, config), form]) == 1
    captured = capsys.readouterr()
    assert "canary" not in captured.out.replace("canary-free", "") + captured.err


def test_github_reads_places_and_texts_as_they_are_meant(tmp_path):
    """GitHub's own rules: `%`, CR and LF in texts, and `:` and `,` in properties as well."""
    one = Finding("policy.yml", 2, 3, "100% of a:b,\r\nc", warning=True, code="no-index", proposal="- x")
    assert for_github(one, tmp_path.relative_to(tmp_path) / "a,b:c%") == (
        "::warning file=a%2Cb%3Ac%25/policy.yml,line=2,col=3,title=no-index::100%25 of a:b,%0D%0Ac%0A- x"
    )
    whole = Finding("schema.yml", 0, 0, "is not UTF-8", code="file")
    assert for_github(whole, tmp_path.relative_to(tmp_path)) == "::error file=schema.yml,title=file::is not UTF-8"


def test_github_sees_one_line_a_finding_and_nothing_else(folder, capsys):
    main(["check", folder(policy(reads("resource.ssn == user.ssn"))), "--github"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" ")[0] for line in lines] == ["::notice", "::warning"]
    main(["check", folder(CLEAN), "--github"])
    assert capsys.readouterr().out == ""
