"""Revoked tokens, as every route, every job and every gateway meets them."""

import asyncio
import time
from datetime import UTC, timedelta

import pytest

from permission_mongo.auth.revocations import RevocationList
from permission_mongo.auth.tokens import TokenVerifier
from permission_mongo.cli.main import main
from permission_mongo.config.model import Auth
from permission_mongo.errors import Unavailable
from permission_mongo.principal import Principal, Revocations
from permission_mongo.storage.revocations import COLLECTION, MongoRevocations
from permission_mongo.values import utc_now
from tests.http.harness import SECRET, a_config, a_token, a_world
from tests.http.test_jobs import ADMINS, ALONE, OPEN, SMALL, add_many, ended, held

pytestmark = pytest.mark.mongo


@pytest.fixture
def world(new_world):
    """Its gateway remembers nothing of other tests."""
    return new_world


def now() -> int:
    return int(time.time())


async def until_refused(world, token, within=8.0) -> float:
    begun = time.monotonic()
    while (answer := await world.get("/notes", token=token)).status_code != 401:
        assert time.monotonic() - begun < within, "still taken"
        await asyncio.sleep(0.02)
    assert answer.json()["error"]["code"] == "unauthorized"
    return time.monotonic() - begun


@pytest.fixture
async def store(world):
    yield MongoRevocations(world.database)
    await world.database[COLLECTION].drop()


async def test_t36_t5_a_revoked_token_is_refused_within_two_seconds_though_it_was_remembered(world, store):
    one, other = a_token(jti="one"), a_token(jti="other")
    for token in (one, other):
        assert (await world.get("/notes", token=token)).status_code == 200
    await store.add("jti", "one", utc_now(), None)
    assert await until_refused(world, one) < 2.0
    assert (await world.get("/notes", token=other)).status_code == 200
    assert (await world.get("/notes", token=a_token(sub="one"))).status_code == 200, "a 'jti' is no subject"


async def test_t36_of_a_revoked_subject_only_what_was_issued_later_is_taken(world, store):
    old, untold, bobs = a_token(iat=now() - 60), a_token(), a_token("bob", iat=now() - 60)
    await store.add("sub", "alice", utc_now() - timedelta(seconds=30), None)
    await until_refused(world, old)
    assert (await world.get("/notes", token=untold)).status_code == 401, "without 'iat' it may be an old one"
    assert (await world.get("/notes", token=bobs)).status_code == 200
    assert (await world.get("/notes", token=a_token(iat=now() - 10))).status_code == 200


async def test_t36_a_token_issued_in_the_second_of_the_revocation_is_refused(world, store):
    moment = utc_now()
    await store.add("sub", "alice", moment, None)
    await until_refused(world, a_token(iat=int(moment.replace(tzinfo=UTC).timestamp())))


async def test_t36_the_job_of_a_revoked_token_ends(mongo_uri, tmp_path):
    async with a_world(mongo_uri, a_config(tmp_path, SMALL, policy=ADMINS)) as small:
        ids = await add_many(small, 40)
        token = a_token(jti="of-the-job")
        async with held(small, milliseconds=300):
            answer = await small.delete("/notes/batch", OPEN, token=token, headers=ALONE)
            assert answer.status_code == 202
            await MongoRevocations(small.database).add("jti", "of-the-job", utc_now(), None)
            told = await ended(small, answer.json()["job"]["id"], token=a_token("carl", ["chief"]))
        assert (told["state"], told["error"]["code"]) == ("failed", "unauthorized")
        assert 0 < told["progress"]["deleted"] == 40 - len(await small.stored(*ids)) < 40
        await small.database[COLLECTION].drop()


async def test_t36_a_stream_of_a_revoked_token_ends(mongo_uri, tmp_path):
    async with a_world(mongo_uri, a_config(tmp_path, SMALL, policy=ADMINS)) as small:
        await add_many(small, 40)
        token = a_token(jti="of-the-stream")
        async with held(small, milliseconds=300):
            answer = await small.delete("/notes/batch", OPEN, headers=ALONE)
            job = answer.json()["job"]["id"]
            asked = small.get(f"/_pm/jobs/{job}", token=token, headers={"accept": "text/event-stream"})
            stream = asyncio.create_task(asked)
            await asyncio.sleep(0.3)
            await MongoRevocations(small.database).add("jti", "of-the-stream", utc_now(), None)
            told = (await stream).text
        assert "unauthorized" in told
        await small.database[COLLECTION].drop()


async def test_every_gateway_of_the_database_counts_it(world, store, mongo_uri):
    token = a_token(jti="shared")
    async with a_world(mongo_uri, world.gateway.config) as second:
        assert (await second.get("/notes", token=token)).status_code == 200
        await store.add("jti", "shared", utc_now(), None)
        assert await until_refused(second, token) < 2.0
        assert await until_refused(world, token) < 2.0


# -- the list


class Kept:
    """A store that is asked and counts it; `broken` is what it says instead."""

    def __init__(self, broken=None):
        self.known, self.broken, self.number, self.asked = Revocations(), broken, 0, 0

    async def generation(self):
        self.asked += 1
        await asyncio.sleep(0)
        if self.broken is not None:
            raise self.broken
        return self.number

    async def in_force(self):
        return self.known


def a_principal(**claims) -> Principal:
    token = a_token(**claims)
    return TokenVerifier(Auth(secret=SECRET)).verify(token)


async def test_where_the_store_can_not_be_asked_no_token_passes():
    """Fail closed: a list that is older than a second tells nothing."""
    moment = [0.0]
    store = Kept()
    revoked = RevocationList(store, lambda: moment[0])
    await revoked.require_good(a_principal())
    store.broken = Unavailable("away")
    moment[0] = 0.9
    await revoked.require_good(a_principal())
    moment[0] = 1.0
    with pytest.raises(Unavailable, match="revoked"):
        await revoked.require_good(a_principal())
    store.broken = None
    await revoked.require_good(a_principal())


async def test_one_look_serves_all_that_wait_for_it_and_so_does_one_failure():
    store = Kept()
    revoked = RevocationList(store, lambda: 0.0)
    await asyncio.gather(*(revoked.require_good(a_principal()) for _ in range(50)))
    assert store.asked == 1
    store = Kept(broken=Unavailable("away"))
    revoked = RevocationList(store, lambda: 0.0)
    told = await asyncio.gather(*(revoked.require_good(a_principal()) for _ in range(50)), return_exceptions=True)
    assert (store.asked, {type(one) for one in told}) == (1, {Unavailable})


async def test_who_waits_for_a_look_and_leaves_does_not_end_it_for_the_others():
    store = Kept()
    revoked = RevocationList(store, lambda: 0.0)
    first = asyncio.create_task(revoked.require_good(a_principal()))
    second = asyncio.create_task(revoked.require_good(a_principal()))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert first.cancelled() or first.done()


async def test_an_api_key_asks_for_no_revocations():
    revoked = RevocationList(Kept(broken=Unavailable("away")))
    await revoked.require_good(Principal("svc", "acme", frozenset(), {}, "key"))


@pytest.mark.parametrize("issued", [None, True, "1", float("nan")])
def test_a_token_that_does_not_say_when_it_was_issued_counts_as_an_old_one(issued):
    claims = {} if issued is None else {"iat": issued}
    principal = Principal("alice", None, frozenset(), claims, "token")
    assert Revocations(subjects={"alice": 5.0}).revoke(principal)
    assert not Revocations(subjects={"bob": 5.0}).revoke(principal)


# -- the commands


@pytest.fixture
def kept(mongo_uri, tmp_path, monkeypatch):
    config = a_config(tmp_path)
    monkeypatch.setenv("MONGODB_URI", mongo_uri)
    monkeypatch.setenv("MONGODB_DATABASE", config.mongodb.database)
    return lambda *words: main(["tokens", *words, "--config", str(tmp_path)])


def test_the_commands_revoke_and_list(kept, capsys):
    assert kept("revoke", "--jti", "abc", "--lifetime", "12h") == 0
    assert kept("revoke", "--sub", "alice", "--before", "2026-01-01T12:00:00+02:00") == 0
    assert capsys.readouterr().out.splitlines() == ["revoked abc", "revoked alice, up to 2026-01-01T10:00:00Z"]
    assert kept("list") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "sub  alice  2026-01-01T10:00:00Z  kept"
    assert second.startswith("jti  abc  ")
    assert "until" in second


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sub", "a", "--before", "2999-01-01"], "has passed"),
        (["--sub", "a", "--before", "soon"], "--before"),
        (["--jti", "a", "--before", "1h"], "goes with --sub"),
        (["--sub", ""], "1 to"),
        (["--sub", "a", "--lifetime", "long"], "--lifetime"),
    ],
)
def test_what_a_revocation_does_not_take_is_told_in_a_sentence(kept, capsys, words, message):
    assert kept("revoke", *words) == 3
    assert message in capsys.readouterr().err


async def test_a_later_revocation_never_takes_an_earlier_one_back(world, store):
    moment = utc_now().replace(microsecond=0)
    await store.add("sub", "alice", moment, None)
    await store.add("sub", "alice", moment - timedelta(hours=1), timedelta(hours=12))
    [one] = await store.all()
    assert (one.before, one.expires_at) == (moment, moment + timedelta(hours=12))
    await store.add("sub", "alice", moment, None)
    assert [one.expires_at for one in await store.all()] == [None]
    assert (await world.database[COLLECTION].index_information())["ttl"]["expireAfterSeconds"] == 0


async def test_a_name_is_never_an_operator(world, store):
    await store.add("jti", "$before", utc_now(), None)
    assert [one.name for one in await store.all()] == ["$before"]
