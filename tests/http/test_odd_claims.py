"""Claims that JSON can write and BSON can't hold: no rule is met by one, and none makes a fault."""

import pytest

from tests.http.harness import POLICY, a_config, a_kept_world, a_token

pytestmark = pytest.mark.mongo
HALF = "\ud800"  # of a pair of UTF-16
READING = POLICY.replace("resource.status == 'closed'", "resource.email == user.odd || resource.email in user.many")
STAMPING = POLICY.replace(
    'when: "resource.owner_id == user.id", fields: {mask: {ssn: last4}}}',
    'when: "resource.owner_id == user.id", set: {email: user.odd}}',
)


async def test_half_a_sign_meets_no_rule(mongo_uri, tmp_path):
    assert READING != POLICY
    async with a_kept_world(mongo_uri, a_config(tmp_path, policy=READING)) as world:
        await world.add("n1", email="a@b.example")
        bob = a_token("bob", odd=HALF, many=[HALF, "a@b.example"])
        assert (await world.get("/notes/n1", token=bob)).status_code == 200, "the other value of the list meets it"
        for many in ([HALF], HALF, []):
            token = a_token("bob", odd=HALF, many=many)
            assert (await world.get("/notes/n1", token=token)).status_code == 404
            assert (await world.get("/notes", token=token)).json()["data"] == []


async def test_half_a_sign_is_stamped_on_nothing(mongo_uri, tmp_path):
    assert STAMPING != POLICY
    async with a_kept_world(mongo_uri, a_config(tmp_path, policy=STAMPING)) as world:
        await world.add("n1", token=a_token(odd="a@b.example"))
        odd = a_token(odd=HALF)
        for method, path, body in (("POST", "/notes", {"title": "n"}), ("PATCH", "/notes/n1", {"age": 3})):
            answer = await world.ask(method, path, body, token=odd)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden"), method
