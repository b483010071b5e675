"""The address by which rules judge a caller: `request.ip`."""

import json

import httpx
import pytest

from tests.http.harness import CONFIG, POLICY, a_config, a_token, a_world
from tests.lines import a_log

pytestmark = pytest.mark.mongo
TOLD = {"x-forwarded-for": "192.0.2.1, 198.51.100.7", "forwarded": "for=192.0.2.9", "x-real-ip": "192.0.2.8"}


@pytest.mark.parametrize(
    ("trusted", "place", "status"),
    [
        ("[]", "127.0.0.1", 200),
        ("[]", "198.51.100.7", 404),
        ("[127.0.0.0/8]", "198.51.100.7", 200),
        ("[127.0.0.0/8]", "192.0.2.1", 404),
        ("[127.0.0.0/8]", "127.0.0.1", 404),
    ],
)
async def test_t28_a_rule_on_addresses_believes_configured_proxies_alone(mongo_uri, tmp_path, trusted, place, status):
    policy = POLICY.replace("resource.status == 'closed'", f"request.ip == '{place}'")
    config = a_config(tmp_path, f"{CONFIG}server: {{trusted_proxies: {trusted}}}\n", policy=policy)
    async with a_world(mongo_uri, config) as world:
        await world.add("n1")
        answer = await world.get("/notes/n1", token=a_token("eve", ("viewer",)), headers=TOLD)
        assert answer.status_code == status


async def test_t28_an_ipv4_peer_of_a_socket_of_ipv6_has_its_usual_form(mongo_uri, tmp_path):
    """Else a rule that denies 10.0.0.1 would let it in."""
    policy = POLICY.replace("resource.status == 'closed'", "request.ip == '10.0.0.1'")
    async with a_world(mongo_uri, a_config(tmp_path, policy=policy)) as world:
        await world.add("n1")
        headers = {"authorization": f"Bearer {a_token('eve', ('viewer',))}"}
        for peer, status in (("10.0.0.1", 200), ("::ffff:10.0.0.1", 200), ("::ffff:10.0.0.2", 404)):
            transport = httpx.ASGITransport(world.app, client=(peer, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                assert (await client.get("/notes/n1", headers=headers)).status_code == status


async def test_t28_the_log_names_the_address_that_rules_see(mongo_uri, tmp_path):
    """Else behind a proxy each line names the proxy."""
    config = a_config(tmp_path, f"{CONFIG}server: {{trusted_proxies: [127.0.0.0/8]}}\n")
    async with a_world(mongo_uri, config) as world:
        with a_log(as_json=True) as log:
            await world.get("/absent", headers=TOLD)
        [line] = [one for one in map(json.loads, log().splitlines()) if one["logger"] == "permission_mongo.requests"]
        assert line["ip"] == "198.51.100.7"
