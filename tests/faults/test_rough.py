"""F5: the path to MongoDB is slow, or silent, and heals. Deadlines are kept, what is told is so, and all goes on by itself."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from threading import Thread
from uuid import uuid4

import pymongo
import pytest
from pymongo.uri_parser import parse_uri

from tests.faults.processes import Asked, a_gateway_process, write_config
from tests.faults.rough import RoughPath, a_rough_path
from tests.faults.rows import SEED, rounds, settle
from tests.faults.scenes import BEYOND, HEALS_WITHIN, LIMIT, LONG, READS, Scene, late, send_again
from tests.faults.summaries import Summary, tell

pytestmark = [pytest.mark.mongo, pytest.mark.faults]


@dataclass
class Rough(Scene):
    path: RoughPath


@pytest.fixture(scope="module")
def scene(mongo_uri, tmp_path_factory) -> Iterator[Rough]:
    name = f"test_{uuid4().hex[:12]}"
    folder = write_config(tmp_path_factory.mktemp("rough") / "config", name, f"{{query_timeout: {LIMIT}s}}")
    with pymongo.MongoClient(mongo_uri) as client, a_rough_path(*parse_uri(mongo_uri)["nodelist"][0]) as path:
        with a_gateway_process(folder, f"mongodb://127.0.0.1:{path.port}/?directConnection=true") as gateway:
            assert gateway.ask("POST", "/notes", {"_id": "there", "title": "t"})[0] == 201
            yield Rough(client[name], gateway, path)
        client.drop_database(name)


@pytest.mark.parametrize("hole", ["held", "lost"])
def test_f5_a_silent_path_keeps_nobody_beyond_the_deadline_and_heals_by_itself(scene, hole):
    """Done and told so, or told as not done, or "did not say"; sent again under its key, each is there once."""
    random, healed, statuses, slowest = Random(SEED), [], Counter(), 0.0
    for n in range(rounds(1, 10)):
        writes = [one.send(scene.gateway) for one in scene.ready()]
        time.sleep(0.03 * random.random())
        with scene.path.hole(hole):
            reads = scene.read()
            for one in writes:
                one.end()
            lasting = [Asked(scene.gateway, None, READS["get"][:2]) for _ in range(20)]
            told = [one.end() for one in (*reads, *lasting)]
            assert (scene.gateway.ask("GET", "/health")[0], scene.gateway.ask("GET", "/ready")[0]) == (200, 503)
            # So long that the driver notices, and looks for the server through the hole.
            time.sleep(25 if LONG and n == 0 else 0)
        healed.append(scene.heals_after())
        settle(scene.database.client)
        assert late(writes, reads) + [one.seconds for one in lasting if one.seconds > LIMIT + BEYOND] == []
        assert {one[0] if one else None for one in told} <= {503, 504}
        assert [one.told(scene.database) for one in writes if not one.is_true(scene.database)] == []
        statuses.update(one.status for one in writes)
        slowest = max(slowest, *(one.seconds for one in (*writes, *reads)))
        send_again(scene, writes)
    notes = f"answers {dict(statuses)}, the last after {slowest:.1f} s of {LIMIT:.0f}; healed after {max(healed):.1f} s"
    tell(Summary("F5", f"black hole, connections {hole}", len(healed), "holes", notes=notes))
    assert max(healed) < HEALS_WITHIN


@pytest.mark.parametrize("delay", [0.01, 0.1])
def test_f5_on_a_slow_path_what_is_told_is_so(scene, delay):
    """What takes many steps ends at the deadline, with nothing done; what takes few is served."""
    writes = scene.ready()
    scene.path.delay = delay
    try:
        reads = scene.send(writes)
    finally:
        scene.path.delay = 0.0
    settle(scene.database.client)
    assert [one.told(scene.database) for one in writes if not one.is_true(scene.database)] == []
    # An undo looks first, and has the limit for each part and each look.
    assert [one for one in late(writes, reads) if "undo" not in str(one[0])] == []
    statuses = Counter(one.status for one in writes)
    tell(Summary("F5", f"path {2 * delay:.2f} s longer", 1, "rounds", statuses[200] + statuses[201]))
    if delay < 0.1:
        assert statuses[504] < len(writes)
    send_again(scene, writes)


def test_f5_control_a_bare_driver_waits_for_as_long_as_the_hole_lasts(scene):
    with pymongo.MongoClient(f"mongodb://127.0.0.1:{scene.path.port}/?directConnection=true") as bare:
        rows = bare[scene.database.name]["notes"]
        rows.find_one({})
        with scene.path.hole("held"):
            reading = Thread(target=rows.find_one)
            reading.start()
            reading.join(LIMIT + 0.5)
            waits = reading.is_alive()
        reading.join(10)
    assert waits
