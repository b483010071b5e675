"""F2 and F3: the primary of three is killed, or steps down, under sixteen callers. What was acknowledged is there, once."""

import os
import time
from random import Random

import pymongo
import pytest

from tests.faults.clients import Beside, a_crowd, judge
from tests.faults.processes import a_gateway_process, write_config
from tests.faults.replica_set import ReplicaSet
from tests.faults.rows import SEED, rounds
from tests.faults.summaries import Summary, tell

pytestmark = [pytest.mark.mongo, pytest.mark.faults]
# Acknowledged writes before the first fault, between two, and behind the last.
BETWEEN = 60
AT_LEAST = int(os.environ.get("FAULT_WRITES", "12000" if os.environ.get("FAULT_LONG") else "300"))


def kill_and_restart(found: ReplicaSet, random: Random) -> None:
    primary = found.primary()
    time.sleep(random.random() * 0.3)
    primary.kill()
    found.primary()
    primary.start()


def step_down(found: ReplicaSet, random: Random) -> None:
    time.sleep(random.random() * 0.3)
    found.step_down()
    found.primary()


def run(found: ReplicaSet, folder, name: str, fault, times: int):
    """The fault so many times under the crowd; the crowd, what is there in the end, and the servers' own gap."""
    random, beside = Random(SEED), Beside(found.uri)
    share = max(AT_LEAST // (times + 1), BETWEEN)
    with a_gateway_process(write_config(folder / "config", name), found.uri) as gateway:
        with beside, a_crowd(gateway, SEED) as crowd:
            for _ in range(times):
                crowd.go_on(share, 300)
                fault(found, random)
                crowd.go_on(BETWEEN, 60)
                found.wait()
            crowd.go_on(max(AT_LEAST - crowd.acknowledged, BETWEEN), 300)
        assert gateway.ask("GET", "/ready")[0] == 200
    found.wait()
    with pymongo.MongoClient(found.uri) as client:
        return crowd, judge(client[name], crowd), beside.gap()


@pytest.mark.parametrize(
    ("number", "what", "of", "fault", "times"),
    [
        ("F2", "primary killed (-9) under 16 writers", "kills", kill_and_restart, (1, 10)),
        ("F3", "primary steps down under 16 writers", "stepdowns", step_down, (1, 10)),
    ],
    ids=["f2-kill", "f3-stepdown"],
)
def test_f2_f3_acknowledged_writes_outlive_the_primary(replica_set, tmp_path, name, number, what, of, fault, times):
    """All that was acknowledged is there once, in the order told; counters are exact, numbers without a gap."""
    count = rounds(*times)
    crowd, verdict, bare = run(replica_set, tmp_path, name, fault, count)
    tell(
        Summary(
            number,
            what,
            count,
            of,
            crowd.acknowledged,
            len(verdict.lost),
            len(verdict.doubled),
            len(verdict.wrong),
            crowd.gap(),
            f"that of a bare driver {bare:.1f} s; answers {crowd.statuses}",
        )
    )
    assert verdict.is_clean, f"FAULT_SEED={SEED}: {verdict}"
    assert crowd.acknowledged >= AT_LEAST
    assert "500" not in crowd.statuses
    assert crowd.gap() < bare + 15
