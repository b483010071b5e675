"""A gateway killed at any moment of a write with a key, and the write sent again: one effect, the first answer."""

import time
from dataclasses import dataclass
from random import Random

import pytest

from tests.faults.processes import Asked, a_gateway_process, write_config
from tests.faults.rows import SEED, add_rows, end_abandoned, look, rounds
from tests.faults.summaries import Summary, tell
from tests.faults.test_kill import moments

pytestmark = [pytest.mark.mongo, pytest.mark.faults]
COUNT = 400
MANY, ONE = ("POST", "/notes/batch"), ("POST", "/notes")
NEVER_TOLD = {"code": 64, "errmsg": "waiting for replication timed out"}


def a_key(text: str) -> dict[str, str]:
    return {"idempotency-key": text}


def a_body(group: str) -> dict:
    """Documents whose ids the gateway makes: sent twice, they are there twice."""
    return {"documents": [{"title": group, "age": n} for n in range(COUNT)]}


def set_failpoint(database, mode, **data):
    database.client.admin.command(
        "configureFailPoint", "failCommand", mode=mode, data={"appName": "permission-mongo", **data}
    )


def wait_for(database, group: str, asked: Asked) -> None:
    """Until the write is committed."""
    until = time.monotonic() + 20
    while database["notes"].find_one({"title": group}) is None:
        assert time.monotonic() < until
        assert not asked.is_over, asked.answer
        time.sleep(0.001)


@dataclass
class Killed:
    """A request sent to a gateway that was killed after the commit and before the answer; then sent again."""

    again: tuple[int, dict]
    stored: list[dict]


def killed_after_commit(database, folder, mongo_uri, request, headers) -> Killed:
    """The commit takes place and says that it is not known to have: the gateway asks on and on, and is killed."""
    route, body, group = request
    with a_gateway_process(folder, mongo_uri) as gateway:
        set_failpoint(database, "alwaysOn", failCommands=["commitTransaction"], writeConcernError=NEVER_TOLD)
        try:
            asked = Asked(gateway, body, route, headers)
            wait_for(database, group, asked)
            gateway.kill()
            assert asked.end() is None
        finally:
            database.client.admin.command("configureFailPoint", "failCommand", mode="off")
    end_abandoned(database.client)
    with a_gateway_process(folder, mongo_uri) as gateway:
        again = gateway.ask(*route, body, headers)
    return Killed(again, list(database["notes"].find({"title": group}, sort=[("age", 1)])))


def test_a_create_killed_between_commit_and_answer_is_answered_when_it_comes_again(mongo_uri, database, tmp_path):
    folder = write_config(tmp_path / "config", database.name)
    request = (ONE, {"title": "one"}, "one")
    killed = killed_after_commit(database, folder, mongo_uri, request, a_key("one"))
    status, answer = killed.again
    assert (status, len(killed.stored)) == (201, 1)
    assert (answer["_id"], answer["title"]) == (killed.stored[0]["_id"], "one")


def test_a_batch_killed_between_commit_and_answer_is_answered_when_it_comes_again(mongo_uri, database, tmp_path):
    folder = write_config(tmp_path / "config", database.name)
    killed = killed_after_commit(database, folder, mongo_uri, (MANY, a_body("many"), "many"), a_key("many"))
    status, answer = killed.again
    assert (status, len(killed.stored)) == (201, COUNT)
    assert answer["created"] == [one["_id"] for one in killed.stored]
    assert database["_pm_batches"].find_one({"_id": answer["batch"]}) is not None


def test_control_without_a_key_the_retry_doubles_it(mongo_uri, database, tmp_path):
    folder = write_config(tmp_path / "config", database.name)
    killed = killed_after_commit(database, folder, mongo_uri, (MANY, a_body("twice"), "twice"), {})
    assert (killed.again[0], len(killed.stored)) == (201, 2 * COUNT)


def test_a_batch_killed_at_any_moment_takes_effect_once(mongo_uri, database, tmp_path):
    """Whether it was killed before, in or after its transaction: sent again, it is there once and told whole."""
    random, folder = Random(SEED + 12), write_config(tmp_path / "config", database.name)
    took, replays, unanswered = 0.15, 0, 0
    for n, moment in enumerate(moments(random, rounds(4))):
        group = f"round-{n}"
        with a_gateway_process(folder, mongo_uri) as gateway:
            began = time.monotonic()
            assert gateway.ask(*MANY, a_body(f"warm-{n}"), a_key(f"warm-{n}"))[0] == 201
            took = min(took, time.monotonic() - began)
            asked = Asked(gateway, a_body(group), MANY, a_key(group))
            time.sleep(max(moment * took, 0))
            gateway.kill()
            first = asked.end()
        end_abandoned(database.client)
        left = database["notes"].count_documents({"title": group})
        with a_gateway_process(folder, mongo_uri) as gateway:
            status, again = gateway.ask(*MANY, a_body(group), a_key(group))
        stored = database["notes"].count_documents({"title": group})
        assert (status, len(again["created"]), stored) == (201, COUNT, COUNT), f"FAULT_SEED={SEED}, round {n}"
        assert first is None or first == (status, again)
        replays += left == COUNT
        unanswered += first is None
    answered, notes = rounds(4) - unanswered, f"{unanswered} unanswered, {replays} replayed"
    tell(Summary("F1", "gateway killed (-9), the batch sent again", rounds(4), acknowledged=answered, notes=notes))


def test_a_batch_killed_between_two_chunks_is_carried_on_and_told_whole(mongo_uri, database, tmp_path):
    """On its way as far as anybody knows, so 409; then another gateway ends it, and nothing is done twice."""
    before = add_rows(database, Random(SEED + 13), "chunks", 2 * COUNT)
    folder = write_config(tmp_path / "chunked", database.name, "{max_batch_size: 80, job_lease: 1s}")
    request = ("DELETE", "/notes/batch", {"filter": {"title": "chunks"}}, a_key("chunks"))
    with a_gateway_process(folder, mongo_uri) as gateway:
        asked = Asked(gateway, request[2], request[:2], request[3])
        while database["_pm_versions"].count_documents({}) < 160 and not asked.is_over:
            time.sleep(0.001)
        gateway.kill()
        assert asked.end() is None
    end_abandoned(database.client)
    assert 160 <= look(database, "chunks", before).gone < 2 * COUNT
    until = time.monotonic() + 60
    with a_gateway_process(folder, mongo_uri) as gateway:
        while (answer := gateway.ask(*request))[0] == 409 and time.monotonic() < until:
            time.sleep(0.1)
        again = gateway.ask(*request)
    left = look(database, "chunks", before)
    assert again == answer
    assert (answer[0], answer[1]["deleted"]) == (200, 2 * COUNT), answer
    assert (left.gone, left.lost, left.wrong) == (2 * COUNT, [], [])


@pytest.mark.parametrize("failing", [{"closeConnection": True}, {"writeConcernError": NEVER_TOLD}], ids=["cut", "late"])
@pytest.mark.parametrize(("route", "body"), [(ONE, {"title": "lost"}), (MANY, a_body("lost"))], ids=["one", "many"])
def test_f4_a_commit_whose_answer_is_lost_takes_effect_once(mongo_uri, database, tmp_path, route, body, failing):
    folder = write_config(tmp_path / "config", database.name)
    with a_gateway_process(folder, mongo_uri) as gateway:
        set_failpoint(database, {"times": 2}, failCommands=["commitTransaction"], **failing)
        try:
            first = gateway.ask(*route, body, a_key("lost"))
        finally:
            database.client.admin.command("configureFailPoint", "failCommand", mode="off")
        again = gateway.ask(*route, body, a_key("lost"))
    assert first == again
    assert first[0] == 201
    assert database["notes"].count_documents({"title": "lost"}) == (COUNT if route is MANY else 1)
