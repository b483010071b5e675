"""The room for large answers: who enters, who waits, and what is given back."""

import asyncio

import pytest

from permission_mongo.errors import CallerLeft, NoConnectionFree, Unavailable
from permission_mongo.shares import LARGE, Budget, Seen, Share, tried_for
from permission_mongo.storage.rooms import take_turn

MIB = 2**20
PAGE = 2 * MIB


async def stays() -> bool:
    return False


async def leaves() -> bool:
    return True


def seen(size: int = 1000, rows: int = 1, clock=lambda: 0.0) -> Seen:
    found = Seen(clock)
    found.saw(size, rows)
    return found


def share(budget: Budget, of: Seen, rows: int = 1, whom="a", most=PAGE, left=stays) -> Share:
    return Share(budget, of, rows, most, whom, left)


async def entering(*shares: Share) -> list[asyncio.Task]:
    tasks = [asyncio.create_task(one.enter()) for one in shares]
    await asyncio.sleep(0.01)
    return tasks


def are_in(tasks: list[asyncio.Task]) -> list[bool]:
    return [one.done() for one in tasks]


async def ended(tasks: list[asyncio.Task]) -> None:
    for one in tasks:
        one.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# -- what is expected


def test_an_answer_is_expected_to_be_its_rows_and_at_most_a_page():
    budget, rows = Budget(100 * MIB, 1), seen(10_000, 10)
    assert share(budget, rows, 131).need() == 0, "below LARGE"
    assert share(budget, rows, 132).need() == 2 * 132_000
    assert share(budget, rows, 10_000_000).need() == 2 * PAGE
    assert share(budget, seen(3 * MIB), 20).need() == 6 * MIB, "one row may be larger than a page"
    assert share(Budget(MIB, 1), seen(3 * MIB), 20).need() == MIB, "what never fits enters alone"


def test_the_most_that_was_seen_counts_and_half_of_it_later():
    now = [0.0]
    rows = seen(10 * MIB, clock=lambda: now[0])
    rows.saw(MIB, 1)
    assert rows.expected(1) == 10 * MIB
    now[0] = 600.0
    assert rows.expected(1) == 5 * MIB
    rows.saw(6 * MIB, 1)
    assert rows.expected(2) == 12 * MIB
    now[0] = 1e6
    assert rows.expected(1) < LARGE


def test_small_rows_are_remembered_too_for_many_of_them_are_large():
    rows = seen(200, 20)
    rows.saw(100_000, 1)
    rows.saw(0, 0)
    assert rows.expected(10) == 1_000_000


# -- who enters


async def test_as_many_enter_as_there_is_room_for_and_the_next_in_order_when_one_left():
    budget, rows = Budget(8 * MIB, 5), seen(MIB)
    shares = [share(budget, rows, whom=n) for n in range(7)]
    tasks = await entering(*shares)
    assert (are_in(tasks), budget.held, budget.waiting) == ([True] * 4 + [False] * 3, 8 * MIB, 3)
    shares[2].settle(MIB)
    await asyncio.sleep(0)
    assert budget.waiting == 3, "half of what the next one needs"
    shares[0].settle(MIB)
    await asyncio.sleep(0.01)
    assert are_in(tasks)[4:] == [True, False, False]
    for one in shares[:5]:
        one.leave()
    await asyncio.gather(*tasks)
    for one in shares:
        one.leave()
        one.leave()
    assert (budget.held, budget.waiting, dict(budget._of)) == (0, 0, {})


async def test_what_is_small_passes_by_those_who_wait():
    budget, large = Budget(2 * MIB, 5), seen(MIB)
    tasks = await entering(share(budget, large), share(budget, large, whom="b"), share(budget, large, 0))
    assert are_in(tasks) == [True, False, True]
    await ended(tasks)


async def test_a_smaller_one_does_not_overtake_the_one_that_waits():
    budget = Budget(4 * MIB, 5)
    tasks = await entering(
        share(budget, seen(MIB)), share(budget, seen(2 * MIB), whom="b"), share(budget, seen(MIB), whom="c")
    )
    assert are_in(tasks) == [True, False, False]
    await ended(tasks)


async def test_one_caller_holds_half_of_it_and_stands_in_nobodys_way():
    budget, rows = Budget(8 * MIB, 5), seen(MIB)
    shares = [share(budget, rows) for _ in range(4)] + [share(budget, rows, whom="b") for _ in range(3)]
    tasks = await entering(*shares)
    assert are_in(tasks) == [True, True, False, False, True, True, False]
    shares[4].leave()
    await asyncio.sleep(0.01)
    assert are_in(tasks) == [True, True, False, False, True, True, True]
    await ended(tasks)


async def test_who_waits_too_long_is_told_and_holds_nothing():
    budget, rows = Budget(2 * MIB, 0.05), seen(MIB)
    first = share(budget, rows)
    await first.enter()
    with pytest.raises(Unavailable, match="too many large answers"):
        await share(budget, rows, whom="b").enter()
    assert (budget.held, budget.waiting) == (2 * MIB, 0)


async def test_who_was_cancelled_while_waiting_takes_nothing():
    budget, rows = Budget(2 * MIB, 5), seen(MIB)
    shares = [share(budget, rows, whom=n) for n in range(3)]
    tasks = await entering(*shares)
    shares[0].leave()  # the second one has its room, and is cancelled before it knows
    tasks[1].cancel()
    await asyncio.gather(tasks[1], return_exceptions=True)
    shares[1].leave()
    await asyncio.wait_for(tasks[2], 1)
    shares[2].leave()
    assert (budget.held, budget.waiting) == (0, 0)


async def test_nothing_is_asked_for_a_caller_who_left_meanwhile():
    budget, rows = Budget(2 * MIB, 5), seen(MIB)
    first, gone = share(budget, rows), share(budget, rows, whom="b", left=leaves)
    tasks = await entering(first, gone)
    first.leave()
    with pytest.raises(CallerLeft):
        await tasks[1]
    gone.leave()
    assert budget.held == 0


async def test_an_answer_larger_than_expected_is_counted():
    budget, rows = Budget(4 * MIB, 5), seen(MIB)
    surprise = share(budget, seen(10))
    surprise.settle(5 * MIB)
    tasks = await entering(share(budget, rows, whom="b"))
    assert (are_in(tasks), budget.held) == ([False], 5 * MIB)
    surprise.leave()
    await asyncio.wait_for(tasks[0], 1)


# -- of what nothing is known


async def test_of_an_unknown_collection_two_are_read_at_once_until_one_tells():
    budget, rows = Budget(4 * MIB, 5), Seen(lambda: 0.0)
    shares = [share(budget, rows, whom=n) for n in range(6)]
    tasks = await entering(*shares)
    assert (are_in(tasks), budget.held) == ([True] * 2 + [False] * 4, 0)
    rows.saw(MIB, 1)
    shares[0].settle(MIB)
    await asyncio.sleep(0.01)
    assert (are_in(tasks), budget.held) == ([True] * 3 + [False] * 3, 3 * MIB)
    await ended(tasks)


async def test_f6_who_waited_to_be_told_of_sizes_waits_no_second_time_for_a_turn(monkeypatch):
    """With a slow server it would be two seconds until somebody is told that it is busy."""
    monkeypatch.setattr("permission_mongo.shares._PATIENCE", 0.2)
    budget, rows, taken = Budget(100 * MIB, 10), Seen(), asyncio.Semaphore(1)
    first = await entering(share(budget, rows), share(budget, rows))
    assert are_in(first) == [True, True]
    await taken.acquire()
    loop = asyncio.get_running_loop()
    async with share(budget, rows):
        assert tried_for() >= 0.2
        began = loop.time()
        with pytest.raises(NoConnectionFree):
            await take_turn(taken, 0.2)
        assert loop.time() - began < 0.15
    assert tried_for() == 0.0, "the next request of this task waits as long as others"


async def test_all_of_an_unknown_collection_go_on_once_it_is_known_to_be_small():
    budget, rows = Budget(4 * MIB, 5), Seen(lambda: 0.0)
    shares = [share(budget, rows) for _ in range(6)]
    tasks = await entering(*shares)
    rows.saw(100, 1)
    shares[1].settle(100)
    await asyncio.wait_for(asyncio.gather(*tasks), 0.5)
    assert budget.held == 0


async def test_a_first_read_that_failed_lets_the_next_one_try():
    budget, rows = Budget(4 * MIB, 5), Seen(lambda: 0.0)
    shares = [share(budget, rows) for _ in range(3)]
    tasks = await entering(*shares)
    shares[0].leave()
    await asyncio.sleep(0.01)
    assert are_in(tasks) == [True] * 3
    assert rows.trying == 2
    await ended(tasks)


async def test_a_slow_first_read_holds_up_the_others_for_a_moment_only(monkeypatch):
    monkeypatch.setattr("permission_mongo.shares._PATIENCE", 0.05)
    budget, rows = Budget(4 * MIB, 5), Seen(lambda: 0.0)
    tasks = await entering(*(share(budget, rows) for _ in range(5)))
    assert are_in(tasks) == [True] * 2 + [False] * 3
    await asyncio.wait_for(asyncio.gather(*tasks), 1)
