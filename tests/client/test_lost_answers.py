"""The gateway did it, and its answer was lost on the way: the client sends it again, and it happens once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from permission_mongo.client import AsyncClient, Client, Collection, Conflict, Retries, Unclear
from tests.client.paths import LossyHttp, a_path
from tests.client.places import Place

pytestmark = [pytest.mark.mongo, pytest.mark.faults]
QUICK = Retries(first=0.01)


@pytest.fixture(scope="module")
def lossy(place: Place) -> Iterator[tuple[LossyHttp, str]]:
    path = LossyHttp(place.port)
    with a_path(path) as address:
        yield path, address


@pytest.fixture
def path(lossy: tuple[LossyHttp, str]) -> LossyHttp:
    lossy[0].passed.clear()
    return lossy[0]


@pytest.fixture(scope="module")
def far(place: Place, lossy: tuple[LossyHttp, str]) -> Iterator[Client]:
    with place.client("boss", address=lossy[1], retries=QUICK) as client:
        yield client


@pytest.fixture
def notes(far: Client, client: Client) -> Collection:
    return far["notes"]


def fresh() -> str:
    return uuid4().hex[:12]


def test_a_new_document_is_made_once(path, far, client):
    """Its id is the gateway's to choose: the collection is one in which a second one would be a second document."""
    name = fresh()
    path.lose("POST", times=2)
    written = far["plain"].insert_one({"name": name})
    assert written.replayed is True
    assert client["plain"].count({"name": name}) == 1
    assert path.passed == ["POST"] * 3


def test_many_new_documents_are_made_once(path, far, client):
    name = fresh()
    path.lose("POST")
    result = far["plain"].insert_many([{"name": name}, {"name": name}])
    assert (result.replayed, len(result.ids), client["plain"].count({"name": name})) == (True, 2, 2)


def test_a_number_is_counted_up_once(path, notes, client):
    one = client["notes"].insert_one({"_id": fresh(), "title": "x", "age": 1}).id
    path.lose("PATCH")
    assert notes.update_one(one, {"$inc": {"age": 1}}).document["age"] == 2
    path.lose("PUT")
    assert notes.update_many([one], {"$inc": {"age": 1}}).modified == 1
    assert client["notes"].get(one).document["age"] == 3


def test_a_deletion_is_told_as_it_was_and_not_as_missing(path, notes, client):
    one, two = (client["notes"].insert_one({"_id": fresh(), "title": "x"}).id for _ in range(2))
    path.lose("DELETE")
    assert notes.delete_one(one).replayed is True
    path.lose("POST")
    result = notes.delete_many([two])
    assert (result.deleted, result.missing, result.replayed) == (1, (), True)


async def test_the_same_by_event_loops(path, lossy, place, client):
    name = fresh()
    path.lose("POST")
    async with AsyncClient(lossy[1], token=place.token("boss"), retries=QUICK) as far:
        assert (await far["plain"].insert_one({"name": name})).replayed is True
    assert client["plain"].count({"name": name}) == 1


def test_long_work_that_goes_on_is_waited_for_and_not_begun_again(path, notes, client):
    """The connection is lost in the middle: the second attempt is told that the first is on its way, until it ended."""
    mark = fresh()
    for _ in range(8):
        client["notes"].insert_many([{"_id": fresh(), "title": mark, "age": 1} for _ in range(4)])
    path.cut("PUT")
    result = notes.update_many({"filter": {"title": mark}}, {"$inc": {"age": 1}})
    assert (result.replayed, result.modified) == (True, 32)
    assert path.passed == ["PUT"] * len(path.passed)
    assert len(path.passed) >= 2
    assert {one["age"] for one in client["notes"].find({"title": mark}, page_size=50)} == {2}


# -- controls: what would be without


def test_control_without_the_key_the_second_attempt_is_a_second_effect(path, lossy, place, client):
    """The same two requests, each under a key of its own."""
    name = fresh()
    path.lose("POST")
    with place.client("boss", address=lossy[1], retries=Retries(attempts=1)) as once:
        with pytest.raises(Unclear):
            once["plain"].insert_one({"name": name})
        once["plain"].insert_one({"name": name})
    assert client["plain"].count({"name": name}) == 2


def test_a_write_that_is_unclear_is_cleared_up_by_its_key(path, lossy, place, client):
    name = fresh()
    path.lose("POST")
    with place.client("boss", address=lossy[1], retries=Retries(attempts=1)) as once:
        with pytest.raises(Unclear) as raised:
            once["plain"].insert_one({"name": name})
        key = raised.value.idempotency_key
        assert once["plain"].insert_one({"name": name}, idempotency_key=key).replayed is True
        with pytest.raises(Conflict, match="another request"):
            once["plain"].insert_one({"name": "other"}, idempotency_key=key)
    assert client["plain"].count({"name": name}) == 1


@pytest.mark.parametrize("write", [lambda policy: policy.write_policy("nonsense", if_match="0" * 64)])
def test_what_takes_no_key_is_not_sent_again(path, lossy, place, write: Callable[[Client], object]):
    path.lose("PUT")
    with place.client("root", address=lossy[1], retries=QUICK) as root, pytest.raises(Unclear):
        write(root)
    assert path.passed == ["PUT"]


def test_a_read_whose_answer_is_lost_is_asked_again(path, far):
    path.lose("GET", times=2)
    assert far.me()["sub"] == "alice"
    assert path.passed == ["GET"] * 3
