"""F2: what only the primary has is not acknowledged, and not told as undone either."""

import pymongo
import pytest
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from tests.faults.processes import Asked, GatewayProcess, a_gateway_process, write_config
from tests.faults.replica_set import ReplicaSet
from tests.faults.summaries import Summary, tell

pytestmark = [pytest.mark.mongo, pytest.mark.faults]
SOON = "{query_timeout: 1s}"


def kill_before_it_told_anyone(found: ReplicaSet, write) -> object:
    """What `write` yields at a primary that nobody follows; then it is killed, and the others go on without."""
    with found.nobody_follows() as primary:
        try:
            return write(primary)
        finally:
            primary.kill()


def bring_back(found: ReplicaSet) -> None:
    found.primary()
    for one in found.members:
        if one.child is None:
            one.start()
    found.wait()


def test_f2_control_writes_acknowledged_by_one_member_are_lost(replica_set, name):
    """The same look at a client that waits for no majority: whatever was acknowledged since is not there."""

    def write(primary) -> list[str]:
        with pymongo.MongoClient(primary.host, directConnection=True, w=1) as client:
            rows = [{"_id": f"row-{n}"} for n in range(50)]
            return client[name]["notes"].insert_many(rows).inserted_ids

    with pymongo.MongoClient(replica_set.uri) as client:
        client[name].create_collection("notes", write_concern=WriteConcern("majority"))
        acknowledged = kill_before_it_told_anyone(replica_set, write)
        bring_back(replica_set)
        lost = len(acknowledged) - client[name]["notes"].count_documents({})
    tell(Summary("F2", "control: writes with w: 1 through a bare client", 1, acknowledged=50, lost=lost))
    assert lost == 50


def asked_at_once(gateway: GatewayProcess, requests: list[tuple]) -> list[tuple[int, dict] | None]:
    asked = [Asked(gateway, body, (method, path), headers) for method, path, body, headers in requests]
    return [one.end() for one in asked]


def test_f2_nothing_is_acknowledged_that_only_the_primary_has(replica_set, tmp_path, name):
    """At the very moment of the control the gateway acknowledges nothing; sent again, each write is there once."""
    requests = [
        ("POST", "/notes", {"title": "one"}, {"idempotency-key": "one"}),
        ("PATCH", "/notes/old", {"$inc": {"age": 1}}, {"idempotency-key": "two"}),
        ("POST", "/notes/batch", {"documents": [{"title": "many"}] * 5}, {"idempotency-key": "three"}),
    ]
    folder = write_config(tmp_path / "config", name, SOON)
    with a_gateway_process(folder, replica_set.uri) as gateway:
        assert gateway.ask("POST", "/notes/batch", {"documents": [{"_id": "old", "title": "o", "age": 0}]})[0] == 201
        told = kill_before_it_told_anyone(replica_set, lambda _: asked_at_once(gateway, requests))
        bring_back(replica_set)
        again = asked_at_once(gateway, requests)
    with pymongo.MongoClient(replica_set.uri) as client:
        notes = client[name]["notes"]
        counts = [notes.count_documents({"title": title}) for title in ("one", "many")]
        age = notes.find_one({"_id": "old"})["age"]
    tell(Summary("F2", "three writes that only the killed primary had", 1, lost=sum(one is None for one in again)))
    assert [one and one[0] for one in told] == [503] * 3, told
    assert [one and one[0] for one in again] == [201, 200, 201], again
    assert (counts, age) == ([1, 5], 1)


def test_f2_a_write_that_a_majority_takes_later_is_not_told_as_undone(replica_set, tmp_path, name):
    """Nobody takes it over until the deadline, then everybody does: it happened, so "conflict" would be a lie."""
    ways = {"in a transaction": "", "as one command": "audit: {enabled: false}\n"}
    folders = [write_config(tmp_path / way, name, SOON, more) for way, more in ways.items()]
    with (
        a_gateway_process(folders[0], replica_set.uri) as one,
        a_gateway_process(folders[1], replica_set.uri) as other,
        replica_set.nobody_follows(),
    ):
        asked = [
            Asked(gateway, {"title": way}, ("POST", "/notes")) for gateway, way in zip((one, other), ways, strict=True)
        ]
        told = [each.end() for each in asked]
    with pymongo.MongoClient(replica_set.uri) as client:
        notes = client[name].get_collection("notes", read_concern=ReadConcern("linearizable"))
        assert [notes.find_one({"title": way}) is not None for way in ways] == [True, True]
    assert [each and (each[0], each[1]["error"]["code"]) for each in told] == [(503, "unavailable")] * 2, told
