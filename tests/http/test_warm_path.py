"""Warm requests do no work that was done before: Casbin is not asked, no signature is checked, no rule is compiled."""

import asyncio

import casbin
import jwt
import pytest

from permission_mongo.policy import to_mongo
from tests.http.harness import a_token

pytestmark = pytest.mark.mongo


@pytest.fixture
def world(new_world):
    """Its gateway remembers nothing of other tests."""
    return new_world


async def test_the_warm_path_asks_casbin_checks_signatures_and_compiles_rules_never(world, monkeypatch):
    await world.add("a")
    token, calls = a_token(), []
    assert (await world.get("/notes/a", token=token)).status_code == 200

    def counted(name, original):
        return lambda *args, **kwargs: calls.append(name) or original(*args, **kwargs)

    monkeypatch.setattr(casbin.Enforcer, "enforce", counted("enforce", casbin.Enforcer.enforce))
    monkeypatch.setattr(jwt, "decode", counted("decode", jwt.decode))
    monkeypatch.setattr(to_mongo, "_filter", counted("compile", to_mongo._filter))
    for _ in range(20):
        assert (await world.get("/notes/a", token=token)).status_code == 200
    assert calls == []
    assert (await world.get("/notes/a", token=a_token("bob"))).status_code == 404
    assert set(calls) == {"decode", "compile"}, "another caller is verified and bound, by the plan that is there"


async def test_warm_lists_of_two_callers_stay_their_own(world):
    await world.add("a", title="alice's")
    await world.add("b", token=a_token("bob"), title="bob's")
    tokens = [a_token(), a_token("bob"), a_token(roles=("viewer",))]
    for _ in range(3):
        answers = await asyncio.gather(*(world.get("/notes?_limit=5", token=token) for token in tokens))
        ids = [[one["_id"] for one in answer.json()["data"]] for answer in answers]
        assert ids == [["a"], ["b"], []]
