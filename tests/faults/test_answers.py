"""F4: answers that are lost, servers that are no primary any more, or slow. One effect, and what is told is so."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from uuid import uuid4

import pymongo
import pytest
from pymongo.uri_parser import parse_uri

from tests.faults.begun import UNKNOWN, Begun, a_group
from tests.faults.lossy import LossyPath, a_lossy_path
from tests.faults.processes import Asked, GatewayProcess, a_gateway_process, write_config
from tests.faults.rows import open_transactions, settle
from tests.faults.scenes import answered_again
from tests.faults.summaries import Summary, tell
from tests.faults.writes import WRITES
from tests.http.harness import a_token

pytestmark = [pytest.mark.mongo, pytest.mark.faults]
CHANGES = ("insert", "update", "delete", "findAndModify")
READS = ("find", "aggregate")
COMMIT = ("commitTransaction",)
NEVER_TOLD = {"code": 64, "codeName": "WriteConcernFailed", "errmsg": "waiting for replication timed out"}
STEPPED_DOWN = {"code": 189, "codeName": "PrimarySteppedDown", "errmsg": "primary stepped down"}
ONE_BY_ONE = "FAULT_LONG" in os.environ


@dataclass
class Scene:
    """A gateway that waits long, one that does not, and one that keeps no audit, all behind a path that loses answers."""

    database: pymongo.database.Database
    path: LossyPath
    patient: GatewayProcess
    hasty: GatewayProcess
    unaudited: GatewayProcess

    @contextmanager
    def failing(self, mode, commands, **what) -> Iterator[None]:
        """The gateways' commands fail, nobody else's."""
        admin = self.database.client.admin
        hit = {"appName": "permission-mongo", "failCommands": list(commands), **what}
        admin.command("configureFailPoint", "failCommand", mode=mode, data=hit)
        try:
            yield
        finally:
            admin.command("configureFailPoint", "failCommand", mode="off")

    @contextmanager
    def losing(self, times, commands) -> Iterator[None]:
        self.path.lose(*commands, times=times)
        try:
            yield
        finally:
            self.path.lose(times=0)


@pytest.fixture(scope="module")
def scene(mongo_uri, tmp_path_factory) -> Iterator[Scene]:
    folder, name = tmp_path_factory.mktemp("answers"), f"test_{uuid4().hex[:12]}"
    host, port = parse_uri(mongo_uri)["nodelist"][0]
    settings = {
        "patient": ("{query_timeout: 8s}", ""),
        "hasty": ("{query_timeout: 500ms}", ""),
        "unaudited": ("{query_timeout: 1s}", "audit: {enabled: false}\n"),
    }
    folders = [write_config(folder / one, name, *more) for one, more in settings.items()]
    with pymongo.MongoClient(mongo_uri) as client, a_lossy_path(host, port) as path:
        uri = f"mongodb://127.0.0.1:{path.port}/?directConnection=true&heartbeatFrequencyMS=500"
        with (
            a_gateway_process(folders[0], uri) as patient,
            a_gateway_process(folders[1], uri) as hasty,
            a_gateway_process(folders[2], uri) as unaudited,
        ):
            yield Scene(client[name], path, patient, hasty, unaudited)
            assert open_transactions(client) == []
        client.drop_database(name)


def error_of(scene: Scene, commands, code: int, times: int) -> AbstractContextManager:
    return scene.failing({"times": times}, commands, errorCode=code)


# What heals by asking again, within the time there is.
PASSING = {
    "answer to a change lost": lambda scene, n=1: scene.losing(n, CHANGES),
    "answer to the commit lost": lambda scene, n=1: scene.losing(n, COMMIT),
    "answers to two commits lost": lambda scene, n=1: scene.losing(2 * n, COMMIT),
    "cut before a change": lambda scene, n=1: scene.failing({"times": n}, CHANGES, closeConnection=True),
    "cut before the commit": lambda scene, n=1: scene.failing({"times": n}, COMMIT, closeConnection=True),
    "cut before a read": lambda scene, n=1: scene.failing({"times": n}, READS, closeConnection=True),
    "NotWritablePrimary at a change": lambda scene, n=1: error_of(scene, CHANGES, 10107, n),
    "NotWritablePrimary at the commit": lambda scene, n=1: error_of(scene, COMMIT, 10107, n),
    "NotWritablePrimary at a read": lambda scene, n=1: error_of(scene, READS, 10107, n),
    "InterruptedDueToReplStateChange": lambda scene, n=1: error_of(scene, (*CHANGES, *COMMIT), 11602, 2 * n),
    "ShutdownInProgress": lambda scene, n=1: error_of(scene, (*CHANGES, *COMMIT), 91, 2 * n),
    "PrimarySteppedDown at the commit": lambda scene, n=1: error_of(scene, COMMIT, 189, n),
    "HostUnreachable": lambda scene, n=1: error_of(scene, CHANGES, 6, n),
    "SocketException": lambda scene, n=1: error_of(scene, (*CHANGES, *COMMIT), 9001, n),
    "ExceededTimeLimit at the commit": lambda scene, n=1: error_of(scene, COMMIT, 262, n),
    "SnapshotUnavailable": lambda scene, n=1: error_of(scene, (*CHANGES, *READS), 246, n),
    "NoSuchTransaction at the commit": lambda scene, n=1: error_of(scene, COMMIT, 251, n),
    "WriteConflict": lambda scene, n=1: error_of(scene, CHANGES, 112, n),
    "commit not known to be durable": lambda scene, n=1: scene.failing(
        {"times": 2 * n}, COMMIT, writeConcernError=NEVER_TOLD
    ),
    "stepped down behind the commit": lambda scene, n=1: scene.failing(
        {"times": n}, COMMIT, writeConcernError=STEPPED_DOWN
    ),
}


# Those that the driver, or the loop of a transaction, meets more often than it asks again.
TOLD_AT_TIMES = {
    "NotWritablePrimary at a read",
    "InterruptedDueToReplStateChange",
    "ShutdownInProgress",
    "SnapshotUnavailable",
    "WriteConflict",
}


# Seconds each, and much as others are.
LONG_ONLY = {"answers to two commits lost", "cut before a change", "ShutdownInProgress"}
WAYS = [
    (fault, keyed)
    for n, fault in enumerate(PASSING)
    for keyed in (False, True)
    if ONE_BY_ONE or (n % 2 == keyed and fault not in LONG_ONLY)
]


@pytest.mark.parametrize(("fault", "keyed"), WAYS)
def test_f4_a_fault_that_passes_has_one_effect(scene, fault, keyed):
    """Each write takes effect once and is answered so, or is told as not done; with a key once when sent again."""
    begun = [Begun(scene.patient, write, keyed=keyed) for write in WRITES]
    if ONE_BY_ONE:
        for one in begun:
            with PASSING[fault](scene):
                one.send(scene.patient).end()
    else:
        # All at once, and so that each meets it as a rule; a connection that is cut takes half a second to heal.
        with PASSING[fault](scene, len(begun)):
            for one in [one.send(scene.patient) for one in begun]:
                one.end()
    assert [one.told(scene.database) for one in begun if not one.is_true(scene.database)] == []
    if ONE_BY_ONE and fault not in TOLD_AT_TIMES:
        assert [one.told(scene.database) for one in begun if one.status not in (200, 201)] == []
    for one in begun if keyed else []:
        again = answered_again(one, scene.patient)
        assert (again[0] in (200, 201), one.effects(scene.database)) == (True, 1), (again, one.told(scene.database))
        assert one.status not in (200, 201) or again == one.answer


# What does not pass before the deadline.
LASTING = {
    "no answer to a commit": lambda scene: scene.losing(10**6, COMMIT),
    "cut before each commit": lambda scene: scene.failing("alwaysOn", COMMIT, closeConnection=True),
    "no commit known to be durable": lambda scene: scene.failing("alwaysOn", COMMIT, writeConcernError=NEVER_TOLD),
    "no answer to a change": lambda scene: scene.losing(10**6, CHANGES),
    "NotWritablePrimary at each change": lambda scene: scene.failing("alwaysOn", CHANGES, errorCode=10107),
    "NotWritablePrimary at each commit": lambda scene: scene.failing("alwaysOn", COMMIT, errorCode=10107),
    "ExceededTimeLimit at each read": lambda scene: scene.failing("alwaysOn", READS, errorCode=262),
    "slow changes": lambda scene: slow(scene, CHANGES),
    "slow commits": lambda scene: slow(scene, COMMIT),
    "slow reads": lambda scene: slow(scene, READS),
    "all slow": lambda scene: slow(scene, (*CHANGES, *COMMIT, *READS, "abortTransaction", "killSessions")),
}


def slow(scene: Scene, commands) -> AbstractContextManager:
    return scene.failing("alwaysOn", commands, blockConnection=True, blockTimeMS=1000)


@pytest.mark.parametrize("fault", LASTING)
def test_f4_what_a_fault_that_lasts_is_told_as_is_true(scene, fault):
    """Done, or an error behind which there is nothing; or "did not say". Sent again afterwards, each is there once."""
    begun = [Begun(scene.patient, write, keyed=True) for write in WRITES]
    with LASTING[fault](scene):
        for one in [one.send(scene.hasty) for one in begun]:
            one.end()
    assert settle(scene.database.client) == 0
    assert [one.told(scene.database) for one in begun if not one.is_true(scene.database)] == []
    for one in begun:
        again = answered_again(one, scene.patient)
        assert (again[0] in (200, 201), one.effects(scene.database)) == (True, 1), (again, one.told(scene.database))
    tell(summary_of(fault, [one.status for one in begun]))


def summary_of(fault: str, statuses: list[int | None]) -> Summary:
    told = Counter(statuses)
    notes = f"answers {dict(told)}; sent again, each is there once"
    return Summary("F4", fault, len(statuses), "writes", told[200] + told[201], notes=notes)


def test_f4_what_arrives_when_nobody_waits_any_more_begins_nothing(scene):
    """The first statement of a transaction, behind the end of it: its rows, and the key, would be held for a minute."""
    begun = [Begun(scene.patient, write, keyed=True) for write in WRITES]
    for one in begun:
        scene.path.hold("update", "insert", "findAndModify", seconds=1.5)
        one.send(scene.hasty).end()
    time.sleep(1.5)
    assert settle(scene.database.client, 3) == 0
    assert [one.status for one in begun if one.status in (200, 201)] == []
    for one in begun:
        again = one.send(scene.patient).end()
        assert (again and again[0] in (200, 201), one.effects(scene.database)) == (True, 1), one.told(scene.database)


@pytest.mark.parametrize(("times", "status"), [(1, 201), (10**6, 503)])
def test_f4_one_command_whose_answer_is_lost(scene, times, status):
    """The driver sends it again, the server does it once; if no answer comes nobody knows, and that is told."""
    group = a_group()
    with scene.losing(times, ("insert",)):
        told, answer = scene.unaudited.ask("POST", "/notes", {"title": group})
    assert (told, WRITES[0].effects(scene.database, group)) == (status, 1)
    assert status == 201 or UNKNOWN in answer["error"]["message"]


AT_ONCE = 24
OF_MANY = [fault for fault in PASSING if "read" not in fault]


@pytest.mark.parametrize("fault", OF_MANY)
@pytest.mark.parametrize("which", ["patient", "unaudited"])
def test_f4_creates_of_one_moment_are_there_once_each_or_told_as_not_done(scene, which, fault):
    """They go together, and the fault meets some of them by themselves and others as a group."""
    gateway, group = getattr(scene, which), a_group()
    who = {"authorization": f"Bearer {a_token()}"}
    titles = [f"{group}-{n}" for n in range(AT_ONCE)]
    with PASSING[fault](scene, 4):
        begun = [Asked(gateway, {"title": one}, ("POST", "/notes"), who) for one in titles]
        answers = [one.end() for one in begun]
    assert settle(scene.database.client) == 0
    rows = list(scene.database["notes"].find({"title": {"$in": titles}}))
    for title, answer in zip(titles, answers, strict=True):
        assert answer is not None
        status, told = answer
        there = [str(row["_id"]) for row in rows if row["title"] == title]
        if status == 201:
            assert there == [told["_id"]]
        elif status != 503 or UNKNOWN not in told["error"]["message"]:
            assert (status, there) in ((409, []), (503, []), (504, []))
        assert len(there) <= 1
    entries = scene.database["_pm_audit"].find({"ids": {"$in": [row["_id"] for row in rows]}})
    expected = [[row["_id"]] for row in rows] if which == "patient" else []
    assert sorted(one["ids"] for one in entries) == sorted(expected)
    told_well = sum(answer is not None and answer[0] == 201 for answer in answers)
    tell(Summary("F4", f"{AT_ONCE} creates at once: {fault}", AT_ONCE, "creates", told_well))


def test_f4_control_a_bare_repetition_doubles_it(scene):
    """The same look at a client that repeats by hand what it was not told of."""
    group = a_group()
    uri = f"mongodb://127.0.0.1:{scene.path.port}/?directConnection=true"
    with pymongo.MongoClient(uri, retryWrites=False) as bare:
        counters, doubled = bare[scene.database.name]["counters"], 0
        for n in range(4):
            counters.insert_one({"_id": f"{group}-{n}", "n": 0})
            with scene.losing(1, ("update",)), pytest.raises(pymongo.errors.AutoReconnect):
                counters.update_one({"_id": f"{group}-{n}"}, {"$inc": {"n": 1}})
            counters.update_one({"_id": f"{group}-{n}"}, {"$inc": {"n": 1}})
            doubled += counters.find_one({"_id": f"{group}-{n}"})["n"] == 2
    tell(Summary("F4", "control: lost answers, repeated by hand without a key", 4, "cuts", 4, doubled=doubled))
    assert doubled == 4
