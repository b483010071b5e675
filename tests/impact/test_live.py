"""A change counted on documents of a real server: the right numbers, by brute force, and only read."""

import json
import os
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import pymongo
import pytest

from permission_mongo.cli.main import main
from permission_mongo.config.load import load_config
from permission_mongo.impact.reports import Read
from permission_mongo.planning.callers import Asking, Callers
from permission_mongo.principal import Principal

pytestmark = pytest.mark.mongo
COUNT = int(os.environ.get("DIFF_DOCUMENTS", "20000"))
SCHEMA = """
settings: {id_type: string, default_tenant_field: t, default_owner_field: owner}
collections:
  notes:
    fields:
      t: {type: string}
      owner: {type: string}
      status: {type: string}
      department: {type: string}
      salary: {type: number}
      email: {type: string}
"""
OLD = """
roles: {user: {}, boss: {}}
policies:
  notes:
    user:
      - {actions: [read], when: "resource.owner == user.id || resource.status == 'open'", fields: {deny: [salary], mask: {email: email}}}
      - {actions: [delete], when: resource.owner == user.id}
    boss: {actions: [read], when: resource.department == user.department}
"""
NEW = """
roles: {user: {}, boss: {}}
policies:
  notes:
    user:
      - {actions: [read], when: "resource.status in ['open', 'draft']", fields: {mask: {email: email}}}
      - {actions: [delete], when: "resource.status == 'open'"}
    boss: {actions: [read], when: resource.department in user.departments}
"""
TESTS = "principals:\n  alice: {tenant: acme, roles: [user]}\n  mia: {tenant: globex, roles: [boss], claims: {department: d1, departments: [d1, d2]}}\n"


def a_folder(folder: Path, policy: str, tests: str | None = None) -> Path:
    folder.mkdir()
    (folder / "config.yaml").write_text("auth: {secret: '0123456789012345678901234567890123456789'}\n")
    (folder / "schema.yml").write_text(SCHEMA)
    (folder / "policy.yml").write_text(policy)
    if tests is not None:
        (folder / "policy_tests.yml").write_text(tests)
    return folder


def documents(count):
    for n in range(count):
        document = {"_id": f"n{n:06}", "t": ("acme", "globex")[n % 2], "owner": ("alice", "bob", "mia")[n % 3]}
        document["status"] = ("open", "draft", "done", None, ["open"])[n % 5]
        document["department"] = f"d{n // 2 % 4}"
        if n % 7:
            document["salary"] = n
        if n % 4:
            document["email"] = f"u{n}@acme.example"
        yield document


@pytest.fixture(scope="module")
def database(mongo_uri):
    name = f"diff_{uuid4().hex[:8]}"
    with pymongo.MongoClient(mongo_uri) as client:
        batch = list(documents(COUNT))
        client[name]["notes"].insert_many(batch, ordered=False)
        yield name
        client.drop_database(name)


@pytest.fixture
def uri(mongo_uri, database):
    return mongo_uri.replace("/?", f"/{database}?")


def diffed(capsys, *arguments):
    code = main(["policy", "diff", *map(str, arguments), "--json"])
    printed = capsys.readouterr()
    return code, json.loads(printed.out) if printed.out else printed.err


def by_brute_force(old: Path, new: Path, principal: Principal, action: str):
    """Rows gained and lost, and rows visible before and after by what their view differs in: each document revealed."""
    sides = []
    for folder in (old, new):
        config = load_config(folder, {})
        callers, notes = Callers(config, bytes(32)), config.collections["notes"]
        asking = Asking(principal, datetime(2026, 1, 1), {}, "")
        sides.append((callers.access(asking, notes, "read"), callers.access(asking, notes, action)))
    gained, lost, fields = [], [], {}
    for document in documents(COUNT):
        was, now = (reading.reach.sees(document) and acting.reach.sees(document) for reading, acting in sides)
        if now and not was:
            gained.append(document["_id"])
        elif was and not now:
            lost.append(document["_id"])
        elif was and action == "read":
            before, after = (reading.lens.show(document) for reading, _ in sides)
            for name in document:
                if before.get(name) != after.get(name):
                    fields[name] = fields.get(name, 0) + 1
    return gained, lost, fields


def test_the_counts_are_those_of_brute_force(tmp_path, capsys, uri):
    old, new = a_folder(tmp_path / "old", OLD, TESTS), a_folder(tmp_path / "new", NEW)
    code, found = diffed(capsys, old, new, "--uri", uri)
    assert code == 0
    assert found["live"]["read"] == [{"collection": "notes", "documents": COUNT, "of": COUNT, "sampled": False}]
    assert found["live"]["principals"] == ["alice (policy_tests.yml)", "mia (policy_tests.yml)"]
    counts = {(one["principal"]["sub"], one["action"]): one for one in found["live"]["counts"]}
    assert counts.keys() == {("alice", "read"), ("alice", "delete"), ("mia", "read")}
    people = {
        "alice": Principal("alice", "acme", frozenset({"user"}), {}, "token"),
        "mia": Principal(
            "mia", "globex", frozenset({"boss"}), {"department": "d1", "departments": ["d1", "d2"]}, "token"
        ),
    }
    for (who, action), one in counts.items():
        gained, lost, fields = by_brute_force(old, new, people[who], action)
        assert (one["gained"]["documents"], one["lost"]["documents"]) == (len(gained), len(lost))
        assert (one["gained"]["within"], one["lost"]["within"]) == (0, 0)
        assert set(one["gained"]["such_as"]) <= set(gained)
        assert set(one["lost"]["such_as"]) <= set(lost)
        assert {entry["path"]: entry["documents"] for entry in one["fields"]} == fields
    assert counts["alice", "read"]["gained"]["documents"] > 0
    assert counts["alice", "read"]["lost"]["documents"] > 0
    assert counts["alice", "read"]["fields"] == [
        {
            "path": "salary",
            "before": "hidden",
            "after": "raw",
            "documents": counts["alice", "read"]["fields"][0]["documents"],
        }
    ]


def test_roles_without_a_principal_are_counted_for_some_drawn_from_the_documents(tmp_path, capsys, uri):
    without = NEW.replace("in user.departments", "== 'none'")
    code, found = diffed(capsys, a_folder(tmp_path / "old", OLD), a_folder(tmp_path / "new", without), "--uri", uri)
    assert code == 0
    assert all("drawn from notes n" in one for one in found["live"]["principals"])
    assert {tuple(one["roles"]) for one in found["live"]["counts"]} == {("user",), ("boss",)}
    boss = [one for one in found["live"]["counts"] if one["roles"] == ["boss"]]
    assert {one["principal"]["tenant"] for one in boss} == {"acme", "globex"}
    assert all(one["lost"]["documents"] == COUNT / 8 for one in boss), "its department is drawn with its tenant"


def test_principals_of_a_file_of_claims(tmp_path, capsys, uri):
    old, new = a_folder(tmp_path / "old", OLD), a_folder(tmp_path / "new", NEW)
    claims = tmp_path / "claims.json"
    claims.write_text(json.dumps([{"sub": "alice", "tenant_id": "acme", "roles": ["user"]}]))
    code, found = diffed(capsys, old, new, "--uri", uri, "--as", claims)
    assert code == 0
    assert "alice (--as)" in found["live"]["principals"]
    claims.write_text('{"sub": 1}')
    code, told = diffed(capsys, old, new, "--uri", uri, "--as", claims)
    assert (code, "names the subject" in told) == (2, True)


def test_equal_policies_read_nothing(tmp_path, capsys, uri):
    old, new = a_folder(tmp_path / "old", OLD, TESTS), a_folder(tmp_path / "new", OLD, TESTS)
    code, found = diffed(capsys, old, new, "--uri", uri, "--no-widening")
    assert (code, found["widens"], found["changes"], found["live"]["read"]) == (0, False, [], [])


def test_a_sample_is_told_with_its_interval(tmp_path, capsys, uri):
    old, new = a_folder(tmp_path / "old", OLD, TESTS), a_folder(tmp_path / "new", NEW, TESTS)
    for most in (COUNT // 2, COUNT // 40):  # by chance, document by document; and picked
        code, found = diffed(capsys, old, new, "--uri", uri, "--sample", most)
        assert code == 0
        read = found["live"]["read"][0]
        assert read["sampled"]
        assert read["of"] == COUNT
        assert abs(read["documents"] - most) < most / 4
        (counted,) = [one for one in found["live"]["counts"] if one["action"] == "delete"]
        people = Principal("alice", "acme", frozenset({"user"}), {}, "token")
        gained, _, _ = by_brute_force(old, new, people, "delete")
        within = counted["gained"]["within"]
        assert 0 < within < COUNT / 4
        assert abs(counted["gained"]["documents"] - len(gained)) < 3 * within


def test_the_interval_of_a_sample():
    assert Read("notes", 100, 100, False).estimate(7) == (7, 0)
    assert Read("notes", 250, 1000, True).estimate(0) == (0, 12), "three of none counted may be unseen"
    about, within = Read("notes", 250, 1000, True).estimate(100)
    assert (about, within) == (400, 68)


def test_it_only_reads(tmp_path, capsys, mongo_uri, uri):
    commands = []

    class Listener(pymongo.monitoring.CommandListener):
        def started(self, event):
            commands.append(event.command_name)

        def succeeded(self, event): ...

        def failed(self, event): ...

    pymongo.monitoring.register(Listener())
    try:
        old, new = a_folder(tmp_path / "old", OLD), a_folder(tmp_path / "new", NEW)
        assert diffed(capsys, old, new, "--uri", uri, "--secondary")[0] == 0
    finally:
        pymongo.monitoring._LISTENERS.command_listeners.clear()
    assert set(commands) <= {
        "buildinfo",
        "find",
        "aggregate",
        "count",
        "getMore",
        "endSessions",
        "hello",
        "ping",
        "killCursors",
    }
    assert "aggregate" in commands


def test_no_server_is_a_sentence_without_the_address(tmp_path, capsys):
    old, new = a_folder(tmp_path / "old", OLD), a_folder(tmp_path / "new", NEW)
    (new / "config.yaml").write_text((new / "config.yaml").read_text() + "mongodb: {server_selection_timeout: 200ms}\n")
    assert main(["policy", "diff", str(old), str(new), "--uri", "mongodb://me:secret@127.0.0.1:1/x"]) == 3
    assert "secret" not in capsys.readouterr().err
