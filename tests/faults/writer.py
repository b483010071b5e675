"""Writers beside the gateway, a process of its own, that remember what was acknowledged.

    python -m tests.faults.writer URI DATABASE GROUP COUNT RATE SEED

Says `writing` once updates flow, writes until a line comes in, then tells as JSON, for each row, how many updates were
acknowledged and the mark of the last one.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from random import Random

import pymongo

THREADS = 4


class Writer(threading.Thread):
    """Writes its own share of the rows, so that the last acknowledged write of each is known."""

    def __init__(self, notes: pymongo.collection.Collection, ids: list[str], rate: float, random: Random) -> None:
        super().__init__()
        self.told: dict[str, tuple[int, int]] = {}
        self.tries = 0
        self.stopping = threading.Event()
        self._notes, self._ids, self._rate, self._random = notes, ids, rate, random

    def run(self) -> None:
        began = time.monotonic()
        while not self.stopping.is_set():
            ahead = self.tries / self._rate - (time.monotonic() - began)
            if ahead > 0:
                time.sleep(ahead)
            self._write(self._random.choice(self._ids))

    def _write(self, one: str) -> None:
        self.tries += 1
        count, _ = self.told.get(one, (0, 0))
        result = self._notes.update_one({"_id": one}, {"$inc": {"counter": 1}, "$set": {"last": self.tries}})
        if result.modified_count:
            self.told[one] = (count + 1, self.tries)


def main(uri: str, database: str, group: str, count: int, rate: float, seed: int) -> None:
    with pymongo.MongoClient(uri, w=1) as client:
        ids = [f"{group}-{n}" for n in range(count)]
        writers = [
            Writer(client[database]["notes"], ids[n::THREADS], rate / THREADS, Random(seed + n)) for n in range(THREADS)
        ]
        began = time.monotonic()
        for writer in writers:
            writer.start()
        while sum(writer.tries for writer in writers) < min(rate / 10, 100):
            time.sleep(0.005)
        print("writing", flush=True)
        sys.stdin.readline()
        for writer in writers:
            writer.stopping.set()
        for writer in writers:
            writer.join()
        told = {one: counted for writer in writers for one, counted in writer.told.items()}
        tries = sum(writer.tries for writer in writers)
        print(json.dumps({"rate": tries / (time.monotonic() - began), "told": told}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]), int(sys.argv[6]))
