"""The judge of a soak finds each promise that is not kept, and nothing where all are."""

from dataclasses import replace

import pytest

from tests.soak.promises import Found, Held, broken, report, share

SOUND = Found(30.0, Held(100, 10, 4), Held(104, 12, 0), acknowledged=5, latencies={"get": [0.1]})


def test_a_run_in_which_all_was_kept_breaks_no_promise():
    assert broken(SOUND) == []
    assert "all promises kept" in report(SOUND)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"after": Held(105, 10, 0)}, "memory grew by 5.0 %"),
        ({"after": Held(100, 14, 0)}, "tasks: 10 before, 14 after"),
        ({"after": Held(100, 10, 1)}, "1 connections of callers are left"),
        ({"transactions": 1}, "1 transactions are left open"),
        ({"cursors": 2}, "2 cursors are left open"),
        ({"unexpected": {"get 500": 1}}, "unexpected answers: {'get 500': 1}"),
        ({"lost": ["a"]}, "lost: ['a']"),
        ({"doubled": ["a"]}, "done twice: ['a']"),
        ({"wrong": ["a"]}, "wrong: ['a']"),
        ({"acknowledged": 0}, "nothing was acknowledged"),
    ],
)
def test_each_broken_promise_is_told(change, told):
    assert broken(replace(SOUND, **change)) == [told]


def test_a_share_is_that_below_which_so_much_lies():
    assert (share([3.0, 1.0, 2.0], 0.5), share([], 0.99), share([1.0], 0.99)) == (2.0, 0.0, 1.0)
