"""An old state over the present one."""

import pytest

from permission_mongo.documents.parts import written_over

PRESENT = {"_id": "a", "title": "now", "note": "kept", "pay": {"month": 2, "bonus": 3}}


def but(*hidden):
    """Everything may be written but these, what is below them, and what they are parts of as a whole."""
    return lambda path: not any(path[: len(one)] == one[: len(path)] for one in hidden)


@pytest.mark.parametrize(
    "more", [{}, {"note": "x"}, {"note": {"deep": 1}}, {"pay": {"bonus": 1}}, {"note": 1, "pay": {"bonus": [1]}}]
)
def test_the_order_does_not_tell_what_else_stood_in_the_old_state(more):
    """What may not be written stays where it is, behind what is, whether or not the old state had something there."""
    old = {**more, "title": "then", "_id": "a"}
    over = written_over(PRESENT, old, but(("note",), ("pay", "bonus")))
    assert over["note"] == "kept"
    assert list(over) == ["_id", "title", "note", "pay"]
    assert over["pay"] == {"bonus": 3}


def test_what_is_written_stands_as_it_stood():
    old = {"note": "then", "_id": "a", "title": "then"}
    assert list(written_over(PRESENT, old, but())) == ["_id", "note", "title"]
    inner = written_over(PRESENT, {"pay": {"bonus": 1, "year": 4, "month": 2}}, but(("pay", "bonus")))["pay"]
    assert (list(inner), inner["bonus"]) == (["year", "month", "bonus"], 3)
