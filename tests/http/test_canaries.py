"""T32: secrets and values planted everywhere, every route driven, and nothing of them told where it must not be.

What an operator or a stranger reads is a text of `Told`: another kind of it is a line there.
"""

import contextlib
import io
import json
import logging
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import httpx
import pytest

from permission_mongo.api.app import build_app
from permission_mongo.api.doors import DOORS
from permission_mongo.api.routes import METRICS, ROUTES
from permission_mongo.assembly import open_gateway
from permission_mongo.auth.api_keys import new_key
from permission_mongo.auth.development import make_token
from permission_mongo.cli.main import main
from permission_mongo.config.load import load_config
from permission_mongo.config.model import Config, MongoDB, Tracing
from permission_mongo.errors import Misconfigured, StartupFailure
from permission_mongo.logs import Behind, ConsoleLines
from permission_mongo.storage.connection import new_client
from permission_mongo.storage.keys import MongoKeyStore
from tests.collector import a_collector
from tests.http.harness import POLICY, SCHEMA, World, a_config, a_world
from tests.http.test_service import a_road
from tests.lines import a_log
from tests.receivers import a_receiver

pytestmark = pytest.mark.mongo

SECRET = "CANARYsecret0123456789abcdef0123456789"  # of the configuration and of credentials: told to nobody
HIDDEN = "CANARYhidden"  # of documents: told to no operator, and to no caller who may not see it
SENT = "CANARYsent"  # by callers: told to them at most
WITH_UNIQUE = SCHEMA.replace(
    "    client_ids: true\n",
    "    client_ids: true\n    indexes: [{fields: [email], unique: true, global: true, sparse: true}]\n",
    1,
).replace("email: {type: string, format: email}", "email: {type: string}\n      photo: {type: blob}", 1)
WITH_UNIQUE += "  faces: {client_ids: true, fields: {tenant_id: {type: string}, near: {type: vector, dimensions: 2}, ssn: {type: string}}}\n"
WITH_READER = (
    POLICY.replace(
        "boss: {inherits: [user]}",
        "boss: {inherits: [user], system: [admin, explain, policy_write, audit]}, reader: {}",
    ).replace(
        "  plain:\n",
        "    reader: {actions: [read, update], when: \"resource.status == 'open'\","
        " fields: {allow: [title, ssn], mask: {ssn: last4}}}\n  plain:\n",
        1,
    )
    + "  faces: {boss: {actions: [create, read, delete]}}\n"
)
BODIES = {
    "check_policy": {"files": {"policy.yml": WITH_READER}},
    "run_policy_tests": {"files": {"policy.yml": WITH_READER}},
    "compare_policy": {"files": {"policy.yml": WITH_READER}},
    "explain": {"action": "read", "collection": "notes", "id": "a"},
    "create_one": {"title": "t", "ssn": f"{HIDDEN}-1234", "tags": [HIDDEN]},
    "create_many": {"documents": [{"title": "t", "ssn": f"{HIDDEN}-1234"}]},
    "update_many": {"ids": ["a"], "update": {"$set": {"tags": [HIDDEN]}}},
    "delete_many": {"ids": ["c"]},
    "put_one": {"title": "t", "ssn": f"{HIDDEN}-1234"},
    "patch_one": {"tags": [HIDDEN]},
    "get_many": {"ids": ["a"]},
    "aggregate": {"pipeline": [{"$group": {"_id": "$ssn", "n": {"$sum": 1}}}]},
    "query": {"filter": {"ssn": f"{HIDDEN}-1234"}},
    "count": {"filter": {"ssn": f"{HIDDEN}-1234"}},
    "purge_one": {"reason": SENT},
    "put_blob": {"bytes": HIDDEN},
    "undo": {},
    # of the doors
    **{
        name: {"dataSource": SENT, "database": "default", "collection": "notes", **body}
        for name, body in {
            "find_one": {"filter": {"ssn": f"{HIDDEN}-1234"}},
            "find": {"filter": {"ssn": f"{HIDDEN}-1234"}, "projection": {"title": 1}},
            "insert_one": {"document": {"title": "t", "ssn": f"{HIDDEN}-1234"}},
            "insert_many": {"documents": [{"title": "t", "ssn": f"{HIDDEN}-1234"}]},
            "update_first": {"filter": {"_id": "a"}, "update": {"$set": {"tags": [HIDDEN]}}},
            "update_all": {"filter": {"tags": HIDDEN}, "update": {"$set": {"ssn": f"{HIDDEN}-4321"}}},
            "replace_first": {"filter": {"_id": "b"}, "replacement": {"title": "t", "ssn": f"{HIDDEN}-1234"}},
            "delete_first": {"filter": {"_id": "c"}},
            "delete_all": {"filter": {"_id": "c", "ssn": HIDDEN}},
        }.items()
    },
    "delete_documents": {"ids": ["c"]},
    "delete_vectors": {"ids": ["c"]},
    "get_documents": {"ids": ["a"]},
    "upload_documents": {"documents": [{"id": f"{SENT}-new", "title": "t", "metadata": {"ssn": f"{HIDDEN}-1234"}}]},
    "upload_vectors": {"vectors": [{"id": "v", "vector": [1, 2], "metadata": {"ssn": f"{HIDDEN}-1234"}}]},
    "create_namespace": {"namespace_name": SENT, "type": "text"},
}
# of the Mixpeek door, some of whose endpoints are called like others
OF_MIXPEEK = {
    "get_documents": {"document_ids": ["a", SENT]},
    "list_documents": {"filters": {"ssn": f"{HIDDEN}-1234"}},
    "create_document": {"title": "t", "ssn": f"{HIDDEN}-1234"},
    "update_document": {"tags": [HIDDEN]},
    "update_documents": {"updates": [{"document_id": "a", "update_data": {"tags": [HIDDEN]}}]},
    "update_matching": {"filters": {"tags": HIDDEN}, "update_data": {"ssn": f"{HIDDEN}-4321"}},
    "delete_documents": {"filters": {"document_id": "c", "ssn": HIDDEN}},
}
OF_DOORS = tuple(route for door in DOORS.values() for route in door.routes)
ODD = ({SENT: SENT, "filter": {SENT: SENT}, "ssn": {"$ne": SENT}}, f'{{"{SENT}')


def a_token_of(role: str, tenant: str = "acme") -> str:
    return make_token(SECRET, "HS256", role, [role], 2**33, {"tenant_id": tenant, "jti": f"{SENT}-jti"})


BOSS, READER, STRANGER = a_token_of("boss"), a_token_of("reader"), a_token_of("boss", "evil")
FORGED = BOSS[:-4] + "AAAA"


@dataclass
class Told:
    """Every text that somebody reads who must not learn a canary, by its name, with those that it must not hold."""

    texts: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)

    def to_operators(self, name: str, text: str, *hosts: str) -> None:
        tokens = [one.rpartition(".")[2] for one in (BOSS, READER, STRANGER)]
        self.texts[name] = text, ("CANARY", *tokens, *hosts)

    def to_callers(self, name: str, answers: list[str], *, may_see: bool, hosts: tuple[str, ...]) -> None:
        self.texts[name] = "\n".join(answers), (SECRET, *hosts, *(() if may_see else (HIDDEN,)))

    def leaks(self) -> list[str]:
        return [
            f"{name}: {mark} in ...{text[max(0, text.index(mark) - 200) : text.index(mark) + 60]}"
            for name, (text, marks) in self.texts.items()
            for mark in marks
            if mark in text
        ]


@dataclass
class Heard:
    """What each caller was answered, and which endpoints were reached with success."""

    boss: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    reached: set[str] = field(default_factory=set)

    def keep(self, token: str, answer: httpx.Response) -> None:
        (self.boss if token == BOSS else self.others).append(f"{answer.headers} {answer.text}")


def config_text(collector: int, receiver: str) -> str:
    return f"""
server: {{secret: '{SECRET}'}}
auth: {{secret: '{SECRET}'}}
metrics: {{public: true}}
doors: [atlas_data_api, mixpeek, moorcheh]
logging: {{level: debug, requests: all}}
tracing: {{otlp_endpoint: 'http://127.0.0.1:{collector}', sample_ratio: 1}}
hooks: {{allow_addresses: [127.0.0.1]}}
audit: {{log_reads: true, sink: both, webhook: {{url: '{receiver}', secret: '{SECRET}', timeout: 1s}}}}
limits: {{max_batch_size: 3}}
"""


def hooks_text(receiver: str) -> str:
    told = f"url: '{receiver}/{SECRET}', secret: '{SECRET}', headers: {{x-key: '{SECRET}'}}, timeout: 1s"
    return (
        f"hooks: {{notes: {{pre_update: [{{action: http, name: gate, {told}, on_failure: ignore}}],"
        f" post_create: [{{action: http, name: post, {told}, retries: 0, fields: [ssn]}}]}}}}"
    )


async def drive(world: World, heard: Heard) -> None:
    """Every route: as it should be, with what is none, and by callers of all kinds."""
    for method, template, endpoint in (*ROUTES, METRICS, *OF_DOORS):
        is_mixpeek = (method, template, endpoint) in DOORS["mixpeek"].routes
        good = (OF_MIXPEEK if is_mixpeek else BODIES).get(endpoint.__name__)
        if "{app}" in template and endpoint.__name__ == "aggregate":
            good = {**BODIES["find"], **(good or {})}
            del good["filter"], good["projection"]
        # Who may see nothing hidden sends nothing of it either: what is echoed to them is their own.
        own = json.loads(json.dumps(good).replace(HIDDEN, SENT))
        asked = [*((BOSS, one) for one in (good, *ODD)), *((READER, one) for one in (own, *ODD))]
        for token, body in (*asked, (STRANGER, own), (FORGED, own)):
            path = await a_path(world, template, endpoint.__name__)
            content = body.encode() if isinstance(body, str) else None if body is None else json.dumps(body).encode()
            sent = {"authorization": f"Bearer {token}"}
            answer = await world.client.request(method, path, headers=sent, content=content)
            heard.keep(token, answer)
            if answer.status_code < 400 and token == BOSS:
                heard.reached.add(endpoint.__name__)


async def a_path(world: World, template: str, endpoint: str) -> str:
    """Of documents that are there; what takes one away gets one of its own."""
    one = "a"
    if endpoint == "get_presigned":
        headers, photo = {"authorization": f"Bearer {BOSS}"}, f"/notes/{one}/blobs/photo"
        await world.client.put(photo, headers=headers, content=SENT)  # whoever holds the address may see it
        shown = await world.client.get("/notes/a?_presign=true", headers=headers)
        return urlsplit(shown.json()["photo"]["url"]).path
    if endpoint in (
        "delete_one",
        "purge_one",
        "delete_many",
        "delete_first",
        "delete_all",
        "delete_documents",
        "delete_document",
    ):
        one = "c"
        await world.database["notes"].update_one(
            {"_id": one},
            {"$set": {"title": "t", "tenant_id": "acme", "owner_id": "boss", "status": "open", "ssn": HIDDEN}},
            upsert=True,
        )
    batch = await world.database["_pm_batches"].find_one({}) or {"_id": SENT}
    job = await world.database["_pm_jobs"].find_one({}) or {"_id": SENT}
    filled = (
        template.replace("{app}", SENT)
        .replace("{field}", "photo")
        .replace("{collection}", "faces" if endpoint.endswith("_vectors") else "notes")
        .replace("{id}", one)
        .replace("{batch}", str(batch["_id"]))
    )
    return (
        filled.replace("{job}", str(job["_id"])).replace("{version}", "1").replace("{from}", "1").replace("{to}", "2")
    )


async def ask_oddly(world: World, heard: Heard) -> None:
    """Canaries in every part of a request that a caller writes, and refusals that speak of values."""
    key = new_key("boss", "acme", ("boss",), world.gateway.clock(), None)
    await MongoKeyStore(world.database).add(key.record)
    for number in range(2):  # one value twice
        await world.post("/notes", {"_id": f"u{number}", "title": "t", "email": HIDDEN}, token=BOSS)
    odd = [
        ("GET", f"/{SENT}", {}),
        ("GET", f"/notes/{SENT}", {}),
        ("GET", f"/notes?{SENT}={SENT}", {}),
        ("GET", f"/notes?title={SENT}&cursor={SENT}", {}),
        ("GET", f"/notes?sort={SENT}", {}),
        ("GET", "/notes?ssn[$regex]=(CANARYsent", {}),
        ("GET", f"/notes/a/versions/{SENT}", {}),
        ("GET", f"/a/b/c/{SENT}/e/f", {}),
        (SENT, "/notes", {}),
        ("GET", "/notes", {"x-namespace": SENT}),
        ("GET", "/notes", {"x-api-key": f"pmk_{SENT}_{SENT}"}),
        ("GET", "/notes", {"accept": SENT, "prefer": SENT, "traceparent": SENT, "tracestate": f"a={SENT}"}),
        ("DELETE", "/notes/a", {"if-match": f'"{SENT}"', "x-change-reason": SENT}),
        ("POST", "/notes", {"idempotency-key": SENT, "content-type": SENT}),
        ("POST", "/notes", {"x-request-id": f"{SENT} with spaces", "content-length": SENT}),
    ]
    for method, path, headers in odd:
        for token in (BOSS, READER):
            sent = {"authorization": f"Bearer {token}"} if "x-api-key" not in headers else {}
            heard.keep(token, await world.client.request(method, path, headers={**sent, **headers}))
    answer = await world.client.get("/notes", headers={"x-api-key": key.text})
    assert answer.status_code == 200
    heard.keep(BOSS, answer)


FAULTS = (
    {"failCommands": ["find"], "errorCode": 8000},
    {"failCommands": ["find"], "errorCode": 11602},
    {"failCommands": ["find"], "closeConnection": True},
    {"failCommands": ["insert"], "errorCode": 8000},
    {"failCommands": ["insert"], "closeConnection": True},
    {"failCommands": ["commitTransaction"], "writeConcernError": {"code": 64, "errmsg": SENT}},
)


async def break_commands(world: World, heard: Heard) -> None:
    admin = world.database.client.admin
    for fault in FAULTS:
        try:
            data = {**fault, "appName": "permission-mongo"}
            await admin.command("configureFailPoint", "failCommand", mode={"times": 2}, data=data)
            for token in (BOSS, READER):
                heard.keep(token, await world.get("/notes/a", token=token))
                sent = HIDDEN if token == BOSS else SENT
                heard.keep(token, await world.post("/notes", {"title": "t", "ssn": sent}, token=token))
        finally:
            await admin.command("configureFailPoint", "failCommand", mode="off")


async def without_mongodb(world: World, config: Config, mongo_uri: str, heard: Heard) -> None:
    times = {"server_selection_timeout": 0.2, "connect_timeout": 0.2}
    audit = replace(config.audit, seal=False, log_reads=False)
    cut = replace(config, mongodb=replace(config.mongodb, **times), audit=audit, tracing=Tracing())
    async with a_road(mongo_uri) as (address, close, _):
        app = build_app(open_gateway(cut, address, carriers=0), public_metrics=True)
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://second")
        async with app.router.lifespan_context(app), client:
            away = World(client, world.database, app.state.gateway, app)
            close()
            for token in (BOSS, READER):
                for answer in (
                    await away.get("/notes/a", token=token),
                    await away.post("/notes", {"title": "t", "ssn": HIDDEN}, token=token),
                    await away.get("/ready", token=token),
                ):
                    heard.keep(token, answer)
    # A defect of ours whose text has it all.
    broken = replace(world.gateway, clock=lambda: (_ for _ in ()).throw(ValueError(f"{SECRET} {HIDDEN}")))
    world.gateway.in_force.latest = broken
    heard.keep(READER, await world.get("/notes", token=READER))
    world.gateway.in_force.latest = None


async def test_t32_no_log_answer_metric_or_trace_tells_a_canary(mongo_uri, tmp_path):
    told, heard = Told(), Heard()
    host = urlsplit(mongo_uri).netloc
    with a_collector() as collector, a_log(as_json=True) as log:
        console, stream = another_log()
        async with a_receiver(answer=lambda heard: (500, SECRET.encode())) as receiver:
            text = config_text(collector.port, receiver.url)
            config = a_config(tmp_path, text, WITH_UNIQUE, WITH_READER, hooks_text(receiver.url))
            async with a_world(mongo_uri, config) as world:
                made = [{"_id": one, "title": "t", "ssn": f"{HIDDEN}-1234", "tags": [HIDDEN]} for one in "abc"]
                assert (await world.post("/notes/batch", {"documents": made}, token=BOSS)).status_code == 201
                await drive(world, heard)
                await ask_oddly(world, heard)
                await break_commands(world, heard)
                await without_mongodb(world, config, mongo_uri, heard)
                metrics = (await world.client.get("/metrics")).text
        console.close()
        told.to_operators("log, JSON", log(), host)
        told.to_operators("log, console", stream.getvalue(), host)
        told.to_operators("metrics", metrics, host)
    sent = b"\n".join(collector.bodies).decode("latin-1")
    told.to_operators("traces", sent, host)
    told.to_operators("the configuration's repr", repr(replace(config, hooks={}, audit=config.audit)), host)
    told.to_callers("answers", heard.boss, may_see=True, hosts=(host,))
    told.to_callers("answers to others", heard.others, may_see=False, hosts=(host,))
    assert told.leaks() == []
    require_said_much(told, heard)


def another_log() -> tuple[Behind, io.StringIO]:
    """Beside the one that is there, in the form of the console."""
    stream = io.StringIO()
    handler = Behind(stream)
    handler.setFormatter(ConsoleLines())
    logging.root.addHandler(handler)
    return handler, stream


def require_said_much(told: Told, heard: Heard) -> None:
    """A look that finds nothing may have looked at nothing."""
    tried = {endpoint.__name__ for _, _, endpoint in (*ROUTES, *OF_DOORS)}
    # A hierarchy, a job and a policy that may be written are for the tests of those.
    later = {"sync_hierarchy", "get_job", "cancel_job", "write_policy", "restore_one", "undo"}
    refused = {"create_namespace", "delete_namespace", "search", "answer", "file"}  # whoever asks
    assert tried - heard.reached <= later | refused
    assert any(HIDDEN in one for one in heard.boss)
    log, console = told.texts["log, JSON"][0], told.texts["log, console"][0]
    lines = [json.loads(one) for one in log.splitlines()]
    assert len(lines) == len(console.splitlines()) > 300
    of_requests = [one for one in lines if one["logger"] == "permission_mongo.requests"]
    assert {one["action"] for one in of_requests} >= {"read", "create", "update", "delete", "purge", "explain"}
    assert {one["status"] // 100 for one in of_requests} == {2, 4, 5}
    assert {one.get("subject") for one in of_requests} == {None, "boss", "reader"}
    assert any(one.get("code") == "unavailable" for one in of_requests)
    assert any("ValueError" in one["message"] for one in lines)
    assert "POST /{collection}/batch" in told.texts["traces"][0]
    assert 'code="internal_error"' in told.texts["metrics"][0]


# -- what the start and `check` say of a configuration

SOUND = f"auth: {{secret: '{SECRET}'}}\n"
FILES = {"config.yaml": SOUND, "schema.yml": SCHEMA, "policy.yml": POLICY}
HTTP = "hooks: {notes: {post_create: [{action: http, url: '%s', secret: '%s'}]}}\n"
BROKEN = {
    "a short secret": {"config.yaml": "auth: {secret: CANARYshort}\nserver: {secret: CANARYshort}\n"},
    "a secret of another kind": {"config.yaml": "auth: {secret: [CANARY]}\nserver: {secret: {CANARY: 1}}\n"},
    "a quote that doesn't end": {"config.yaml": "auth: {secret: 'CANARY\n"},
    "a tab": {"config.yaml": "auth:\n\tsecret: CANARY\n"},
    "two secrets": {"config.yaml": "auth:\n  secret: CANARY1\n  secret: CANARY2\n"},
    "an anchor that is none": {"config.yaml": "auth: {secret: *CANARY}\n"},
    "a key that is none": {"config.yaml": f"auth: {{secrt: '{SECRET}', public_key: CANARY}}\n"},
    "an address that is none": {"config.yaml": f"{SOUND}mongodb: {{uri: 'http://u:CANARY@h'}}\n"},
    "a user in the address of a hook": {"hooks.yml": HTTP % ("https://u:CANARY@x.example", SECRET)},
    "a secret of a hook that is short": {"hooks.yml": HTTP % ("https://x.example/CANARY", "CANARY")},
    "a secret of a hook in Base64 that is none": {"hooks.yml": HTTP % ("https://x.example/", "whsec_CANARY!")},
    "a variable that is no number": {"config.yaml": f"{SOUND}server: {{workers: '${{ENV.PM_CANARY}}'}}\n"},
    "a variable that is no choice": {
        "config.yaml": "auth: {secret: '${ENV.PM_CANARY}', api_keys: '${ENV.PM_CANARY}'}\n"
    },
    "a collector's address": {"config.yaml": f"{SOUND}tracing: {{otlp_endpoint: 'http://u:CANARY@h'}}\n"},
}


@pytest.mark.parametrize("files", BROKEN.values(), ids=BROKEN)
def test_t32_what_is_wrong_with_a_configuration_is_told_without_its_secrets(tmp_path, files, capsys, monkeypatch):
    monkeypatch.setenv("PM_CANARY", SECRET)
    for name, text in {**FILES, **files}.items():
        (tmp_path / name).write_text(text)
    said = []
    with contextlib.suppress(Misconfigured):
        said.append(repr(load_config(tmp_path)))
    for form in ([], ["--json"], ["--github"]):
        assert main(["check", str(tmp_path), *form]) == 1
        out = capsys.readouterr()
        said.append(out.out + out.err)
    assert main(["serve", "--config", str(tmp_path), "--port", "0"]) in (1, 3)
    out = capsys.readouterr()
    assert [one for one in (*said, out.out, out.err) if "CANARY" in one.replace("PM_CANARY", "")] == []


ADDRESSES = (
    "mongodb://user:CANARY/x@h/",
    "mongodb://user:a/CANARY@h/",
    "mongodb://user:CAN@CANARY@h/",
    "mongodb://user:CANARY@h:1:2/",
    "mongodb://user:p@h:CANARY/",
    "mongodb://user:CANARY%zz@h/",
    "mongodb://user:CANARY@/x",
    "mongodb://:CANARY@h",
    "mongodb://user:CANARY@[::1/",
    "mongodb+srv://user:CANARY@h:2/x",
    "mongodb://user:p@h/?tlsCAFile=/CANARY",
)


@pytest.mark.parametrize("address", ADDRESSES)
def test_t32_an_address_of_mongodb_that_is_none_is_told_without_its_parts(address):
    with pytest.raises(StartupFailure, match=r"mongodb.uri") as refused:
        new_client(address, MongoDB())
    assert "CANARY" not in str(refused.value)


async def test_t32_a_server_that_is_not_there_is_told_without_its_address(tmp_path):
    config = a_config(tmp_path)
    config = replace(config, mongodb=replace(config.mongodb, server_selection_timeout=0.1))
    with pytest.raises(StartupFailure) as refused:
        async with open_gateway(config, "mongodb://CANARY:CANARY@127.0.0.1:1/"):
            pass
    assert "CANARY" not in str(refused.value)
    assert "127.0.0.1" not in str(refused.value)
