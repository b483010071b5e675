"""F1: a gateway killed at any moment of a versioned batch delete leaves no document gone without its version."""

import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random

import pytest

from tests.faults.processes import Asked, a_child, a_gateway_process, write_config
from tests.faults.rows import SEED, Left, add_rows, end_abandoned, look, rounds
from tests.faults.summaries import Summary, tell
from tests.faults.writes import WRITES, many

pytestmark = [pytest.mark.mongo, pytest.mark.faults]
COUNT = 1000
# One transaction by ids; four by filter.
WAYS = {"whole": "{}", "chunked": "{max_batch_size: 250}"}


@dataclass
class Tally:
    before: int = 0
    inside: int = 0
    after: int = 0
    partly: int = 0
    abandoned: int = 0
    lost: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, left: Left, abandoned: int, *, answered: bool) -> None:
        self.lost += len(left.lost)
        self.wrong += left.wrong
        self.abandoned += abandoned
        self.partly += 0 < left.gone < COUNT
        if answered:
            self.after += 1
        elif left.gone or abandoned:
            self.inside += 1
        else:
            self.before += 1

    def told(self, what: str, notes: str) -> Summary:
        where = (
            f"{self.before} before the first write, {self.inside} inside ({self.partly} between two chunks, "
            f"{self.abandoned} transactions left open), {self.after} after the answer; {notes}"
        )
        kills = self.before + self.inside + self.after
        return Summary("F1", what, kills, "kills", self.after, self.lost, wrong=len(self.wrong), notes=where)


def a_body(way: str, group: str) -> dict:
    return {"filter": {"title": group}} if way == "chunked" else {"ids": [f"{group}-{n}" for n in range(COUNT)]}


def moments(random: Random, count: int) -> list[float]:
    """Spread over a delete that takes 1, from before its start to just after its end; each once, in any order."""
    spread = [-0.2 + 1.4 * (n + random.random()) / count for n in range(count)]
    random.shuffle(spread)
    return spread


def warm(gateway, database, random, group) -> None:
    """The first request of a process takes longer than all others."""
    add_rows(database, random, group, 5)
    assert gateway.ask("DELETE", "/notes/batch", {"filter": {"title": group}})[0] == 200


def measured(folder, mongo_uri, database, random, way) -> float:
    """Seconds that a delete of `COUNT` takes."""
    with a_gateway_process(folder, mongo_uri) as gateway:
        warm(gateway, database, random, f"warm-{way}")
        add_rows(database, random, f"measured-{way}", COUNT)
        began = time.monotonic()
        status, answer = gateway.ask("DELETE", "/notes/batch", a_body(way, f"measured-{way}"))
        assert (status, answer["deleted"]) == (200, COUNT)
        return time.monotonic() - began


def killed_at(gateway, body: dict, seconds: float):
    """Send the body and kill the gateway that long after; below 0 it is killed first. The answer, if there was one."""
    if seconds <= 0:
        gateway.kill()
    asked = Asked(gateway, body)
    time.sleep(max(seconds, 0))
    gateway.kill()
    return asked.end()


def test_f1_a_killed_gateway_loses_no_version(mongo_uri, database, tmp_path):
    """Gone means gone with its exact last version; living means unchanged and without one; what counts, counts so."""
    random, tally = Random(SEED), Tally()
    folders = {way: write_config(tmp_path / way, database.name, limits) for way, limits in WAYS.items()}
    takes = {way: measured(folders[way], mongo_uri, database, random, way) for way in WAYS}
    for n, moment in enumerate(moments(random, rounds(5, 200))):
        way, group = list(WAYS)[n % 2], f"round-{n}"
        before = add_rows(database, random, group, COUNT)
        with a_gateway_process(folders[way], mongo_uri) as gateway:
            warm(gateway, database, random, f"warm-{n}")
            answer = killed_at(gateway, a_body(way, group), moment * takes[way])
        abandoned = end_abandoned(database.client)
        left = look(database, group, before)
        tally.add(left, abandoned, answered=answer is not None)
        assert (left.lost, left.wrong) == ([], []), f"FAULT_SEED={SEED}, round {n}, {way}, {moment:.3f}"
        if answer is not None:
            assert (answer[0], answer[1]["deleted"], left.gone) == (200, COUNT, COUNT)
    took = f"a delete takes {takes['whole']:.3f} s whole, {takes['chunked']:.3f} s chunked"
    tell(tally.told("gateway killed (-9) in batch deletes of 1,000", took))


def test_f1_what_a_kill_left_is_finished_by_sending_it_again(mongo_uri, database, tmp_path):
    """After a restart the same request removes the rest; nothing is kept twice."""
    random = Random(SEED + 1)
    folder = write_config(tmp_path / "chunked", database.name, WAYS["chunked"])
    before = add_rows(database, random, "again", COUNT)
    body = a_body("chunked", "again")
    with a_gateway_process(folder, mongo_uri) as gateway:
        asked = Asked(gateway, body)
        while database["_pm_versions"].count_documents({}) == 0 and not asked.is_over:
            time.sleep(0.001)
        gateway.kill()
        asked.end()
    end_abandoned(database.client)
    first = look(database, "again", before)
    with a_gateway_process(folder, mongo_uri) as gateway:
        assert gateway.ask("GET", "/ready")[0] == 200
        status, answer = gateway.ask("DELETE", "/notes/batch", body)
    last = look(database, "again", before)
    assert (status, first.gone + answer["deleted"], last.gone) == (200, COUNT, COUNT)
    assert (first.lost, first.wrong, last.lost, last.wrong) == ([], [], [], [])


@pytest.mark.parametrize("write", [one for one in WRITES if one.is_batch], ids=str)
def test_f1_a_batch_killed_at_any_moment_is_whole_or_nothing(mongo_uri, database, tmp_path, write):
    """What was answered is there; what was not is there whole or not at all, with a record that counts so."""
    random, told = Random(SEED + 3), Counter()
    folder = write_config(tmp_path / "config", database.name)
    takes = 0.1
    for n, moment in enumerate(moments(random, rounds(2, 25))):
        with many(200), a_gateway_process(folder, mongo_uri) as gateway:
            began = time.monotonic()
            assert gateway.ask(*write.ready(gateway, f"warm-{n}"))[0] in (200, 201)
            takes = min(takes, time.monotonic() - began)
            method, path, body = write.ready(gateway, f"round-{n}")
            asked = Asked(gateway, body, (method, path))
            time.sleep(max(moment * takes, 0))
            gateway.kill()
            answer = asked.end()
            told["abandoned"] += end_abandoned(database.client)
            effects = write.effects(database, f"round-{n}")
        assert effects in ((1,) if answer else (0, 1)), f"FAULT_SEED={SEED}, round {n}, {moment:.3f}, {answer}"
        told.update(answered=answer is not None, whole=effects, kills=1)
    wrong = faults_of_batches(database)
    tell(
        Summary(
            "F1",
            f"gateway killed (-9): {write} of 200",
            told["kills"],
            acknowledged=told["answered"],
            wrong=len(wrong),
            notes=f"{told['whole']} whole, {told['kills'] - told['whole']} not begun or undone by the server",
        )
    )
    assert wrong == []


def faults_of_batches(database) -> list[str]:
    """Every batch that counts something else than its parts hold, or that is not told by one audit entry a part."""
    wrong = []
    for batch in database["_pm_batches"].find():
        parts = list(database["_pm_parts"].find({"batch": batch["_id"]}))
        counted = Counter()
        for part in parts:
            counted[part["action"]] += len(part["ids"])
        audited = database["_pm_audit"].count_documents({"_id": {"$in": [part["_id"] for part in parts]}})
        if (counted, audited) != (Counter(batch["counts"]), len(parts)):
            wrong.append(f"{batch['_id']} counts {batch['counts']}, its parts {dict(counted)}, audited {audited}")
    return wrong


def test_f1_control_delete_first_and_keep_second_is_caught(mongo_uri, database):
    """The same look at the wrong order: the first kill falls between the two steps, the others anywhere."""
    random, caught = Random(SEED + 2), 0
    count = rounds(3, 25)
    for n in range(count):
        group = f"control-{n}"
        before = add_rows(database, random, group, COUNT)
        with a_child("wrong_order", mongo_uri, database.name, group) as child:
            assert child.stdout.readline() == "ready\n"
            if n:
                # Both lines at once: it does not wait between its steps.
                child.stdin.write("go\ngo\n")
                time.sleep(random.random() * 0.06)
            else:
                child.stdin.write("go\n")
                assert child.stdout.readline() == "between\n"
            child.kill()
            child.wait(15)
        time.sleep(0.05)
        left = look(database, group, before, ledger=False)
        caught += bool(left.lost)
    tell(Summary("F1", "control: delete first and keep second", count, lost=caught, notes=f"caught {caught} times"))
    assert caught >= 1
