"""API keys on a real store."""

import base64
import time
from datetime import timedelta
from hmac import compare_digest

import pymongo
import pytest

from permission_mongo.auth import api_keys
from permission_mongo.auth.api_keys import KeyVerifier, new_key
from permission_mongo.auth.authenticate import Authenticator
from permission_mongo.auth.tokens import TokenVerifier
from permission_mongo.cli.main import main
from permission_mongo.config.model import Auth, MongoDB
from permission_mongo.errors import Unauthenticated
from permission_mongo.storage.connection import new_client
from permission_mongo.storage.keys import MongoKeyStore
from permission_mongo.values import utc_now
from tests.auth.test_tokens import SECRET, a_token
from tests.config.test_load import POLICY, SCHEMA

pytestmark = pytest.mark.mongo


@pytest.fixture
async def store(mongo_uri):
    async with new_client(mongo_uri, MongoDB()) as client:
        await client.drop_database("keys_test")
        yield MongoKeyStore(client["keys_test"])
        await client.drop_database("keys_test")


def a_key(lifetime=None):
    return new_key("svc", "acme", ("user",), utc_now(), lifetime)


async def refused(verifier, text):
    with pytest.raises(Unauthenticated) as caught:
        await verifier.verify(text)
    return str(caught.value)


async def test_t6_a_key_is_found_by_its_prefix_and_kept_without_its_secret(store, mongo_uri):
    key = a_key()
    await store.add(key.record)
    principal = await KeyVerifier(store).verify(key.text)
    assert (principal.subject, principal.tenant, principal.roles) == ("svc", "acme", frozenset({"user"}))
    with pymongo.MongoClient(mongo_uri) as client:
        dump = str(list(client["keys_test"]["_pm_keys"].find({})))
    secret = key.text.split("_", 2)[2]
    assert secret not in dump
    assert key.text not in dump
    assert secret not in repr(key)
    assert len(secret) * 6 >= 128


async def test_t6_unknown_wrong_malformed_and_expired_keys_are_told_alike(store):
    key, expired = a_key(), a_key(timedelta(seconds=-1))
    await store.add(key.record)
    await store.add(expired.record)
    verifier = KeyVerifier(store)
    wrong = key.text[:-2] + ("AA" if key.text[-2:] != "AA" else "BB")
    texts = [wrong, a_key().text, expired.text, "pmk_x_y", "pmk_" + "0" * 16 + "_" + "é" * 43, key.text + "\n"]
    assert {await refused(verifier, text) for text in texts} == {"the API key is not valid"}


async def test_t6_a_key_is_compared_in_constant_time_also_where_there_is_none(store, monkeypatch):
    """Two hashes each time: how long it takes tells neither how much is right nor whether the prefix is known."""
    compared = []
    monkeypatch.setattr(
        api_keys, "compare_digest", lambda a, b: compared.append((len(a), len(b))) or compare_digest(a, b)
    )
    key = a_key()
    await store.add(key.record)
    verifier = KeyVerifier(store)
    await verifier.verify(key.text)
    for text in (key.text[:-2] + ("AA" if key.text[-2:] != "AA" else "BB"), a_key().text):
        await refused(verifier, text)
    assert compared == [(32, 32)] * 3


def test_t6_keys_are_of_256_random_bits_and_none_is_made_twice():
    texts = [a_key().text for _ in range(200)]
    parts = [text.split("_", 2) for text in texts]
    assert len({prefix for _, prefix, _ in parts}) == len({secret for _, _, secret in parts}) == 200
    assert {len(base64.urlsafe_b64decode(secret + "=")) for _, _, secret in parts} == {32}
    # Over so many each bit is one of both.
    ones = [sum(base64.urlsafe_b64decode(s + "=")[n // 8] >> n % 8 & 1 for _, _, s in parts) for n in range(256)]
    assert 40 < min(ones) <= max(ones) < 160


async def test_t6_a_dump_of_the_store_opens_nothing(store, mongo_uri):
    """All that is kept of a key, as a key: as it stands, in hexadecimal, and as text that is sent."""
    key = a_key()
    await store.add(key.record)
    with pymongo.MongoClient(mongo_uri) as client:
        kept = client["keys_test"]["_pm_keys"].find_one({})
    stolen = base64.urlsafe_b64encode(kept["secret_hash"]).decode().rstrip("=")
    for secret in (stolen, kept["secret_hash"].hex(), kept["secret_hash"].hex()[:43]):
        await refused(KeyVerifier(store), f"pmk_{kept['_id']}_{secret}")


async def test_t5_t36_a_revoked_key_is_refused_within_two_seconds(store):
    now = [time.time()]
    key, verifier = a_key(), None
    await store.add(key.record)
    verifier = KeyVerifier(store, lambda: now[0])
    first = await verifier.verify(key.text)
    now[0] += 1.5
    assert await verifier.verify(key.text) is first, "an unchanged record keeps its principal"
    assert await store.revoke(key.record.prefix, utc_now())
    now[0] += 2
    assert await refused(verifier, key.text)
    assert not await store.revoke("0" * 16, utc_now())


async def test_one_credential_of_a_known_kind_is_taken(store):
    key = a_key()
    await store.add(key.record)
    both = Authenticator(TokenVerifier(Auth(secret=SECRET)), KeyVerifier(store))
    token = a_token()
    assert (await both.authenticate([f"Bearer {token}"], [])).kind == "token"
    assert (await both.authenticate([f"bearer  {key.text}"], [])).kind == "key"
    assert (await both.authenticate([], [key.text])).kind == "key"
    bad = [
        ([], []),
        ([f"Bearer {token}"], [key.text]),
        ([f"Bearer {token}"] * 2, []),
        (["Basic YTpi"], []),
        (["Bearer"], []),
    ]
    for authorization, api_key in [*bad, ([], [token]), ([token], []), (["Bearer  "], []), ([""], [])]:
        with pytest.raises(Unauthenticated):
            await both.authenticate(authorization, api_key)
    with pytest.raises(Unauthenticated, match="not taken here"):
        await Authenticator(both.tokens, None).authenticate([], [key.text])


def test_keys_are_made_listed_and_revoked_from_the_command_line(mongo_uri, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MONGODB_URI", mongo_uri)
    (tmp_path / "config.yaml").write_text("mongodb: {database: keys_cli}\n")
    (tmp_path / "schema.yml").write_text(SCHEMA)
    (tmp_path / "policy.yml").write_text(POLICY)
    at = ["--config", str(tmp_path)]
    assert main(["keys", "create", "--sub", "svc", "--roles", "user", "--tenant", "acme", "--expires", "90d", *at]) == 0
    text = capsys.readouterr().out.strip()
    prefix = text.split("_")[1]
    assert main(["keys", "list", *at]) == 0
    listed = capsys.readouterr().out
    assert prefix in listed
    assert "expires" in listed
    assert text.split("_", 2)[2] not in listed
    assert main(["keys", "revoke", prefix, *at]) == 0
    assert main(["keys", "list", *at]) == 0
    assert "revoked" in capsys.readouterr().out.splitlines()[-1]
    assert main(["keys", "revoke", "nothing", *at]) == 3
    assert main(["keys", "create", "--sub", "svc", "--roles", "usr", "--tenant", "acme", *at]) == 3
    assert "known: user, boss" in capsys.readouterr().err
    assert main(["keys", "create", "--sub", "svc", "--roles", "user", *at]) == 3
    assert "cross-tenant" in capsys.readouterr().err
    with pymongo.MongoClient(mongo_uri) as client:
        client.drop_database("keys_cli")
