"""A secret is changed while callers hold what the former one signed: it still counts, and is signed by nothing new."""

from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from tests.http.harness import POLICY, a_config, a_world

pytestmark = pytest.mark.mongo
OLD, NEW = "the old secret, of 32 bytes or more", "the new secret, of 32 bytes or more"
ROWS = "/notes?_limit=1"


@pytest.fixture
async def gateways(mongo_uri, tmp_path):
    """On one database: before the change, after it, and once the old secret is forgotten."""
    config = a_config(tmp_path, policy=POLICY.replace("{ssn: last4}", "{ssn: hash}"))
    steps = ((OLD, ()), (NEW, (OLD,)), (NEW, ()))
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                a_world(mongo_uri, replace(config, server=replace(config.server, secret=now, previous_secrets=then)))
            )
            for now, then in steps
        ]


async def cursor_of(world):
    return (await world.get(ROWS)).json()["pagination"]["cursor"]


async def goes_on(world, cursor):
    return (await world.get(f"{ROWS}&_cursor={cursor}")).status_code


async def test_a_cursor_of_the_former_secret_is_opened_until_that_is_forgotten(gateways):
    before, after, _ = gateways
    await before.add("a", "b", "c")
    old, new = await cursor_of(before), await cursor_of(after)
    assert [await goes_on(one, old) for one in gateways] == [200, 200, 400]
    assert [await goes_on(one, new) for one in gateways] == [400, 200, 200], "nothing is signed by the former one"
    turned = old[:-2] + ("AA" if old[-2:] != "AA" else "BB")
    assert await goes_on(after, turned) == 400


async def test_a_tag_of_the_former_secret_is_known_of_the_document_as_it_was_seen_alone(gateways):
    before, after, later = gateways
    await before.add("a", "b", "c", ssn="123456789")
    tags = {name: (await before.get(f"/notes/{name}")).headers["etag"] for name in "abc"}
    seen = (await after.get("/notes/a")).headers["etag"]
    assert seen != tags["a"]
    assert seen == (await later.get("/notes/a")).headers["etag"], "nothing is tagged by the former one"

    def patch(world, name, tag):
        return world.ask("PATCH", f"/notes/{name}", {"age": 5}, headers={"if-match": tag})

    assert (await patch(later, "a", tags["a"])).status_code == 412, "forgotten"
    assert (await patch(after, "b", tags["a"])).status_code == 412, "of another document"
    assert (await patch(after, "a", tags["a"])).status_code == 200
    assert (await patch(after, "a", tags["a"])).status_code == 412, "changed since"
    items = [{"id": "b", "if_match": tags["b"]}, {"id": "c", "if_match": tags["a"]}]
    gone = await after.delete("/notes/batch", {"items": items, "atomic": False})
    assert (gone.json()["deleted"], await before.stored("a", "b", "c")) == (1, ["a", "c"]), gone.json()


async def test_what_is_masked_by_a_hash_goes_by_the_present_secret(gateways):
    await gateways[0].add("a", ssn="123456789")
    shown = [(await one.get("/notes/a")).json()["ssn"] for one in gateways]
    assert shown[0] != shown[1] == shown[2]
