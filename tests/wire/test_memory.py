"""What large answers take of a process's memory."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pymongo
import pytest

from tests.wire.server import BOSS, Served, serving

pytestmark = pytest.mark.mongo
ROWS = 9_000
MOST = 150  # MB, of 10^6 bytes


def megabytes(served: Served, kind: str) -> float:
    lines = Path(f"/proc/{served.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(kind)) * 1024 / 1e6


def test_T16_large_pages_of_small_rows_asked_for_at_once_hold_little_memory(mongo_uri, tmp_path):
    """Each is 14 MB that are 9,000 rows with 40 objects each: all of it read at once, one alone would be 180 MB."""
    with serving(tmp_path, mongo_uri, more="limits: {max_result_size: 10000}\n", write_timeout="20s") as served:
        with pymongo.MongoClient(mongo_uri) as client:
            rows = client[served.database]["notes"]
            lines = [{"sku": f"s{n}", "quantity": n} for n in range(40)]
            common = {"tenant_id": "acme", "owner_id": "boss", "title": "t", "lines": lines, "_version": 1}
            rows.insert_many([{"_id": f"n{n:05}", **common} for n in range(ROWS)], ordered=False)
            for _ in range(20):
                assert served.ask("GET", "/notes?_limit=1", b"", BOSS).status == 200
            before = megabytes(served, "VmRSS")
            with ThreadPoolExecutor(10) as crowd:
                answers = [*crowd.map(lambda _: served.ask("GET", "/notes?_limit=10000", b"", BOSS), range(20))]
            client.drop_database(served.database)
        grown = megabytes(served, "VmHWM") - before
    whole = [one for one in answers if one.status == 200]
    assert {one.status for one in answers} <= {200, 503}
    assert len(whole) >= 2
    assert len({one.body for one in whole}) == 1
    assert len(json.loads(whole[0].body)["data"]) == ROWS
    assert grown < MOST
