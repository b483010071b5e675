"""A cursor serves one caller and one question, for a day."""

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from permission_mongo.errors import InvalidRequest
from permission_mongo.query.cursors import GOOD_FOR, CursorKey, derived

KEY = CursorKey(bytes(range(32)))
QUESTION = ("list", "notes", b"filter", "token", "acme", "alice")
NOW = 1_000_000.0


def refused(cursor, question=QUESTION, now=NOW, key=KEY):
    with pytest.raises(InvalidRequest) as caught:
        key.open(cursor, question, now)
    return str(caught.value)


@given(st.one_of(st.text(max_size=50), st.binary(min_size=12, max_size=12).map(ObjectId), st.uuids()))
def test_what_was_sealed_is_what_is_opened(last):
    assert KEY.open(KEY.seal(last, QUESTION, NOW), QUESTION, NOW + GOOD_FOR - 1) == last


def test_t27_a_flipped_sign_a_cut_and_an_added_one_are_refused_alike():
    cursor = KEY.seal("x", QUESTION, NOW)
    flipped = [cursor[:n] + ("A" if sign != "A" else "B") + cursor[n + 1 :] for n, sign in enumerate(cursor)]
    told = {
        refused(one)
        for one in [*flipped, cursor[:-1], cursor + "A", cursor + "=", "", "é", " " + cursor, cursor.swapcase()]
    }
    assert len(told) == 1


@pytest.mark.parametrize("place", range(6))
def test_t27_a_cursor_moved_to_another_caller_or_question_is_refused(place):
    cursor = KEY.seal("x", QUESTION, NOW)
    assert refused(cursor, tuple(b"other" if n == place else one for n, one in enumerate(QUESTION)))
    assert refused(cursor, QUESTION[:-1])


def test_t27_a_cursor_outlives_its_day_nowhere():
    assert refused(KEY.seal("x", QUESTION, NOW), now=NOW + GOOD_FOR)


def test_a_cursor_of_another_deployment_is_refused():
    assert refused(CursorKey(bytes(32)).seal("x", QUESTION, NOW))
    assert derived(b"secret", "cursors") != derived(b"secret", "masks")


def test_a_former_secret_opens_and_never_seals():
    turned = CursorKey(bytes(32), (KEY.secret,))
    assert turned.open(KEY.seal("x", QUESTION, NOW), QUESTION, NOW) == "x"
    assert refused(turned.seal("x", QUESTION, NOW))
    assert refused(KEY.seal("x", QUESTION, NOW), ("other",), key=turned)
    assert repr(KEY.secret) not in repr(turned)
