"""The gateway's user of MongoDB: with the role that is shipped everything works, and little else."""

import asyncio
import json
import re
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pymongo
import pytest
from pymongo.errors import OperationFailure

from permission_mongo.api.app import build_app
from permission_mongo.assembly import open_gateway
from permission_mongo.auth.development import make_token
from permission_mongo.cli.main import main
from permission_mongo.config.load import load_config
from tests.conftest import _mongod
from tests.receivers import a_receiver

pytestmark = pytest.mark.mongo
ROOT = Path(__file__).parents[2]
ROLE = json.loads((ROOT / "deploy/mongodb/role.json").read_text())
SECRET = "a secret of this test alone, 32 bytes"
HOOKS = """
hooks:
  documents:
    pre_create: [{action: set_field, field: budget, value: $auto.sequence.budget}]
    post_create: [{action: http, url: 'URL', secret: my_secret_of_this_one_hook, retries: 0}]
"""


@contextmanager
def a_guarded_server(folder: Path):
    """A replica set of one that knows its users: the administrator's address, and that of the gateway's user."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "key").write_text("k" * 64)
    (folder / "key").chmod(0o400)
    (folder / "data").mkdir()
    words = f"--dbpath {folder}/data --port {port} --bind_ip 127.0.0.1 --replSet auth --keyFile {folder}/key --quiet"
    words += " --nounixsocket --wiredTigerCacheSizeGB 0.25 --oplogSize 64"
    child = subprocess.Popen([_mongod(), *words.split()], stdout=subprocess.DEVNULL)
    try:
        place = f"127.0.0.1:{port}/?directConnection=true"
        with pymongo.MongoClient(f"mongodb://{place}") as first:
            first.admin.command(
                "replSetInitiate", {"_id": "auth", "members": [{"_id": 0, "host": f"127.0.0.1:{port}"}]}
            )
            while not first.admin.command("hello")["isWritablePrimary"]:
                time.sleep(0.02)
            first.admin.command("createUser", "admin", pwd="admin", roles=["root"])
        with pymongo.MongoClient(f"mongodb://admin:admin@{place}") as admin:
            admin.admin.command(ROLE)
            admin.admin.command("createUser", "gateway", pwd="gateway", roles=[ROLE["createRole"]])
            yield admin, f"mongodb://gateway:gateway@{place}&authSource=admin"
    finally:
        child.terminate()
        child.wait(15)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("auth")
    with a_guarded_server(folder) as found:
        yield found


@pytest.fixture
async def folder(tmp_path, server, monkeypatch):
    """The configuration that is shipped, with hooks beside it, and the environment it reads."""
    shutil.copytree(ROOT / "deploy/config", tmp_path / "config")
    async with a_receiver() as receiver:
        (tmp_path / "config/hooks.yml").write_text(HOOKS.replace("URL", receiver.url))
        config = tmp_path / "config/config.yaml"
        config.write_text(config.read_text() + "\nhooks: {allow_addresses: [127.0.0.0/8]}\n")
        for name in ("AUTH_SECRET", "SERVER_SECRET"):
            monkeypatch.setenv(name, SECRET)
        monkeypatch.setenv("MONGODB_URI", server[1])
        yield tmp_path / "config"


def test_the_role_names_every_collection_of_the_shipped_schema_and_of_the_gateway():
    sources = "".join(path.read_text() for path in (ROOT / "permission_mongo").rglob("*.py"))
    own = set(re.findall(r'"(_pm_[a-z_]+)"', sources))
    own = (own - {"_pm_blobs"}) | {"_pm_blobs.files", "_pm_blobs.chunks"}  # a bucket is two collections
    environment = {"MONGODB_URI": "mongodb://x", "AUTH_SECRET": SECRET, "SERVER_SECRET": SECRET}
    config = load_config(ROOT / "deploy/config", environment)
    named = {one["resource"]["collection"]: one["actions"] for one in ROLE["privileges"]}
    assert {one["resource"]["db"] for one in ROLE["privileges"]} == {config.mongodb.database}
    assert named.pop("") == ["listCollections"]
    assert len(own) > 10
    assert set(named) == own | set(config.collections)
    assert not {"update", "remove"} & {*named["_pm_audit"], *named["_pm_audit_seals"]}, "what is noted stays as it is"


async def asked(client, method, path, body=None, *, role="admin", **headers):
    token = make_token(SECRET, "HS256", "ada", [role], int(time.time()) + 600, {"tenant_id": "acme"})
    headers = {name.replace("_", "-"): text for name, text in headers.items()}
    answer = await client.request(method, path, json=body, headers={"authorization": f"Bearer {token}", **headers})
    assert answer.status_code < 300, (method, path, answer.text)
    return answer.json() if answer.content else None


async def use_everything(client):
    """Each kind of work that leaves something in the database, or asks it in a way of its own."""
    some = {"title": "t", "department": "sales"}
    for _ in range(2):
        await asked(client, "POST", "/documents", {"_id": "a", **some}, idempotency_key="once")
    await asked(client, "POST", "/documents/batch", {"documents": [{"_id": one, **some} for one in "bcde"]})
    for path in ("/documents/a", "/documents?_limit=2", "/documents?_sort=-title", "/documents/deleted", "/_pm/me"):
        await asked(client, "GET", path)
    await asked(client, "PATCH", "/documents/a", {"title": "u"})
    await asked(client, "PUT", "/documents/a", {**some, "legal_hold": False})
    await asked(client, "GET", "/documents/a/versions")
    await asked(client, "POST", "/documents/a/restore/1", {})
    await asked(client, "POST", "/documents/query", {"filter": {"title": {"$regex": "^t"}}})
    await asked(client, "POST", "/documents/count", {})
    await asked(
        client, "POST", "/documents/aggregate", {"pipeline": [{"$group": {"_id": "$status", "n": {"$sum": 1}}}]}
    )
    await asked(client, "PUT", "/documents/batch", {"ids": ["b", "c"], "update": {"$set": {"title": "v"}}})
    gone = await asked(client, "DELETE", "/documents/batch", {"filter": {"title": "v"}})
    await asked(client, "POST", f"/documents/batch/{gone['batch']}/undo", {})
    await asked(client, "DELETE", "/documents/e")
    await asked(client, "POST", "/users/batch", {"documents": [a_user("boss", None), a_user("ada", "boss")]})
    await asked(client, "PATCH", "/users/ada", {"manager_id": None})
    await asked(client, "POST", "/orders", {"customer": "x", "amount": "1.50"})
    await asked(client, "GET", "/orders", role="manager")
    for path in ("/_pm/jobs", "/_pm/audit"):
        await asked(client, "GET", path)
    await asked(client, "POST", "/_pm/hierarchy/sync", {})
    await asked(client, "POST", "/_pm/explain", {"action": "read", "collection": "documents", "id": "a"})


def a_user(name, manager):
    return {"_id": name, "name": name, "email": f"{name}@acme.example", "department": "sales", "manager_id": manager}


COMMANDS = (
    "keys create --sub svc --roles user --tenant acme",
    "keys list",
    "tokens revoke --jti x --lifetime 1h",
    "tokens list",
    "purge documents e --tenant acme --reason asked --by test",
    "hierarchy check",
    "outbox list",
    "outbox retry --dead",
    "outbox drop --dead",
    "audit list",
    "audit verify",
    "audit head",
)


async def test_with_this_role_everything_works(folder, server, capsys, caplog):
    config = load_config(folder)
    app = build_app(open_gateway(config, server[1]), public_metrics=False)
    async with app.router.lifespan_context(app):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
            await use_everything(client)
            for line in COMMANDS:
                command, *more = line.split()
                words = [command, *more[:1]] if command != "purge" else [command]
                rest = more[1:] if command != "purge" else more
                code = await asyncio.to_thread(main, [*words, "--config", str(folder), *rest])
                assert code == 0, (line, capsys.readouterr())
            assert (await asked(client, "GET", "/ready"))["status"] == "ready"
            async with asyncio.timeout(5):  # what works behind the answers
                while not await asyncio.to_thread(server[0].company["_pm_audit_seals"].find_one):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        # MongoDB may be slow just then; it must not refuse what works behind the answers.
        assert not [one.getMessage() for one in caplog.records if "OperationFailure" in one.getMessage()]
        assert await asyncio.to_thread(main, ["check", str(folder), "--uri", server[1]]) == 0


@pytest.mark.parametrize(
    "command",
    [
        {"drop": "documents"},
        {"dropIndexes": "documents", "index": "*"},
        {"dropDatabase": 1},
        {"delete": "_pm_audit", "deletes": [{"q": {}, "limit": 0}]},
        {"update": "_pm_audit", "updates": [{"q": {}, "u": {"$set": {"by": "x"}}}]},
        {"update": "_pm_audit_seals", "updates": [{"q": {}, "u": {"$set": {"by": "x"}}}]},
        {"collMod": "_pm_audit", "validator": {}},
        {"find": "other"},
        {"insert": "other", "documents": [{}]},
        {"insert": "system.js", "documents": [{"_id": "f", "value": 1}]},
        {"createUser": "x", "pwd": "x", "roles": []},
        {"aggregate": "documents", "pipeline": [{"$out": "other"}], "cursor": {}},
    ],
    ids=lambda command: " ".join(map(str, next(iter(command.items())))),
)
def test_with_this_role_nothing_else_does(server, command):
    with pymongo.MongoClient(server[1]) as client:
        for database in ("company", "elsewhere"):
            with pytest.raises(OperationFailure) as caught:
                client[database].command(command)
            assert caught.value.code == 13, caught.value
