"""`permission-mongo explain`: for who runs the gateway, on its configuration and MongoDB."""

import json

import pymongo
import pytest

from permission_mongo.cli.main import main
from tests.http.harness import a_config

pytestmark = pytest.mark.mongo
CLAIMS = {"sub": "alice", "tenant_id": "acme", "roles": ["user"]}


@pytest.fixture
def run(mongo_uri, tmp_path, capsys):
    """The exit code, what was printed, and what was said beside it."""
    config = a_config(tmp_path)
    text = (tmp_path / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(f"{text}mongodb: {{database: {config.mongodb.database}}}\n")
    with pymongo.MongoClient(mongo_uri) as client:
        database = client[config.mongodb.database]
        database["notes"].insert_one(
            {"_id": "n1", "tenant_id": "acme", "owner_id": "alice", "status": "locked", "ssn": "canary"}
        )

        def run(*arguments: str) -> tuple[int, str, str]:
            code = main(["explain", "--config", str(tmp_path), "--uri", mongo_uri, *arguments])
            out, err = capsys.readouterr()
            return code, out, err

        run.database = database
        yield run
        client.drop_database(config.mongodb.database)


def test_a_denial_is_told_with_its_place_and_what_would_change_it(run):
    code, out, _ = run("--as", json.dumps(CLAIMS), "delete", "notes", "n1")
    assert code == 1
    assert out.startswith("delete notes n1: not allowed (forbidden: ")
    assert "policy.yml:8 deny user: yes" in out
    assert "resource.owner_id == user.id: yes  [user.id = alice]" in out
    assert "it would be allowed if resource.status != 'locked'" in out
    assert "canary" not in out
    assert "\x1b" not in out


def test_json_is_what_the_route_answers(run):
    code, out, _ = run("--json", "--as", json.dumps(CLAIMS), "read", "notes", "n1")
    told = json.loads(out)
    assert (code, told["allowed"], told["document"]) == (0, True, "live")
    assert told["fields"]["masked"] == {"ssn": "last4"}


def test_flags_say_what_the_claims_leave_out(run, tmp_path):
    (tmp_path / "claims.json").write_text(json.dumps(CLAIMS))
    assert run("--as", f"@{tmp_path / 'claims.json'}", "--roles", "clerk", "read", "notes", "n1")[0] == 1
    assert run("--sub", "alice", "--tenant", "acme", "--roles", "user,viewer", "read", "notes", "n1")[0] == 0
    assert run("--sub", "alice", "--tenant", "evil", "--roles", "boss", "read", "notes", "n1")[0] == 1


def test_it_changes_nothing_but_the_audit(run):
    before = run.database["notes"].find_one({"_id": "n1"})
    run("--as", json.dumps(CLAIMS), "delete", "notes", "n1")
    assert run.database["notes"].find_one({"_id": "n1"}) == before
    assert set(run.database.list_collection_names()) == {"notes", "_pm_audit"}
    noted = run.database["_pm_audit"].find_one({})
    assert (noted["user_id"], noted["asked"]) == ("the command line", {"action": "delete", "as": "alice"})


@pytest.mark.parametrize(
    "arguments",
    [
        ("read", "notes"),
        ("--sub", "a", "read", "nothing"),
        ("--as", "{", "read", "notes"),
        ("--as", "[]", "read", "notes"),
        ("--as", "@/nowhere", "read", "notes"),
        ("--sub", "a", "--filter", "{", "read", "notes"),
        ("--sub", "a", "--filter", "{}", "read", "notes", "n1"),
        ("--sub", "a", "--tenant", "t", "--roles", "user", "--filter", '{"ssn": 1}', "read", "notes"),
    ],
    ids=" ".join,
)
def test_wrong_use_is_told_in_a_sentence(run, arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("permission-mongo explain: ")
    assert "Traceback" not in err


def test_an_action_that_is_none_is_wrong_use(run):
    with pytest.raises(SystemExit) as caught:
        run("--sub", "a", "drop", "notes")
    assert caught.value.code == 2
