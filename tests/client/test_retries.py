"""When a call is sent again, and what is said where nobody knows. Pure: time and chance are told."""

from __future__ import annotations

import pytest

from permission_mongo.client import (
    ClientError,
    Conflict,
    Forbidden,
    NotFound,
    RateLimited,
    Retries,
    ServerError,
    TimedOut,
    Timeouts,
    Unauthenticated,
    Unavailable,
    Unclear,
    Unreachable,
    Unsendable,
    service,
)
from permission_mongo.client.documents import DocumentCalls
from permission_mongo.client.retries import Again, Ended, Tried, judge
from tests.client.scripts import LOST, REFUSED, Course, answer, refusal, run

NOTES = DocumentCalls("notes")
READ = NOTES.count()
WRITE = NOTES.delete_one("a")
COUNTED = answer(200, {"data": {"count": 3}})
DELETED = answer(200, {"deleted": True, "id": "a"})
POLICY = service.write_policy("text", if_match="abc")
ON_ITS_WAY = refusal(409, "conflict", retry_after="1")
BUSY = (
    refusal(429, "rate_limited"),
    refusal(503, "unavailable"),
    answer(502, b"<html>bad gateway</html>"),
    answer(504, b"<html>late</html>"),
    LOST,
    REFUSED,
)


@pytest.mark.parametrize("event", BUSY, ids=str)
def test_a_read_is_asked_again(event):
    course = Course()
    assert run(READ, [event, COUNTED], course) == 3
    assert len(course.sent) == 2
    assert "idempotency-key" not in course.sent[0].headers


@pytest.mark.parametrize("event", BUSY, ids=str)
def test_a_write_is_sent_again_byte_for_byte_under_one_key(event):
    course = Course()
    assert run(WRITE, [event, event, DELETED], course).id == "a"
    first, *others = course.sent
    assert first.headers["idempotency-key"] == "fresh2"
    for one in others:
        assert (one.method, one.target, one.body, one.headers) == (
            first.method,
            first.target,
            first.body,
            first.headers,
        )


def test_each_write_has_a_key_of_its_own_unless_it_is_given_one():
    mine = Course()
    run(NOTES.delete_one("a", idempotency_key="mine"), [DELETED], mine)
    assert mine.sent[0].headers["idempotency-key"] == "mine"


def test_a_dry_run_writes_nothing_and_takes_no_key():
    course = Course()
    run(NOTES.delete_many(["a"], dry_run=True), [LOST, answer(200, {"deleted": 1, "missing": []})], course)
    assert ["idempotency-key" in one.headers for one in course.sent] == [False, False]


@pytest.mark.parametrize(
    "event",
    [refusal(status, "x") for status in (400, 403, 404, 405, 409, 412, 413, 415, 422, 500, 501)],
    ids=lambda one: str(one.status),
)
def test_a_refusal_is_not_asked_again(event):
    for call in (READ, WRITE):
        course = Course()
        with pytest.raises(ClientError):
            run(call, [event, COUNTED], course)
        assert len(course.sent) == 1


def test_waits_double_up_to_the_longest_by_chance():
    course = Course()
    with pytest.raises(Unavailable):
        run(READ, [refusal(503, "unavailable")] * 9, course, retries=Retries(attempts=6, first=1, longest=5))
    assert course.waited == [1, 2, 4, 5, 5]
    lucky = Course()
    run(READ, [LOST, COUNTED], lucky, chance=0.0)
    assert lucky.waited == [0.0]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ({"retry_after": "7"}, 7.1),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:09 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 9.1),
        ({"retry_after": "Wed, 21 Oct 2026 07:00:00 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0.1),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:09 GMT"}, 0.1),
        ({"retry_after": "soon"}, 0.1),
        ({"retry_after": "-3"}, 0.1),
        ({"retry_after": "1.5"}, 0.1),
        ({"retry_after": "٣"}, 0.1),
        ({}, 0.1),
    ],
)
def test_what_the_gateway_asks_for_is_waited(header, seconds):
    course = Course()
    run(READ, [refusal(429, "rate_limited", **header), COUNTED], course)
    assert course.waited == pytest.approx([seconds])


@pytest.mark.parametrize("text", ["60", "999999999", "9" * 4000])
def test_a_wait_that_the_deadline_does_not_hold_is_not_begun(text):
    course = Course()
    with pytest.raises(RateLimited) as raised:
        run(READ, [refusal(429, "rate_limited", retry_after=text)], course, timeouts=Timeouts(total=60))
    assert (course.waited, raised.value.retry_after >= 60) == ([], True)


def test_all_attempts_together_end_within_the_total():
    course = Course()
    with pytest.raises(Unreachable):
        run(
            READ,
            [LOST] * 99,
            course,
            retries=Retries(attempts=99, first=1, longest=1),
            timeouts=Timeouts(total=10),
            lasts=2,
        )
    assert course.now - 1000 <= 12
    assert [round(one.timeouts.read, 3) for one in course.sent] == [10, 7, 4, 1]


def test_a_call_may_have_a_total_of_its_own():
    course = Course()
    run(NOTES.count(timeout=2.5), [COUNTED], course)
    assert course.sent[0].until == 1002.5
    for wrong in (0, -1, float("nan")):
        with pytest.raises(Unsendable):
            NOTES.count(timeout=wrong)


def test_not_to_be_ready_is_an_answer():
    course = Course()
    found = run(service.ready(), [answer(503, {"status": "not_ready", "checks": {"mongodb": "unavailable"}})], course)
    assert (found.is_ready, found.told["checks"]) == (False, {"mongodb": "unavailable"})
    assert run(service.ready(), [answer(503, {"status": "ending"})]).is_ready is False
    for other in (refusal(503, "unavailable"), answer(503, b"<html>")):
        with pytest.raises(Unavailable):
            run(service.ready(), [other])


# -- where nobody knows


@pytest.mark.parametrize(
    "event", [LOST, refusal(503, "unavailable"), answer(502, b"<html>"), answer(504, b"<html>")], ids=str
)
def test_a_write_of_which_nobody_says_whether_it_was_done_is_unclear(event):
    with pytest.raises(Unclear) as raised:
        run(WRITE, [event] * 5)
    assert raised.value.idempotency_key == "fresh2"
    assert isinstance(raised.value.last, Unreachable | Unavailable)
    with pytest.raises((Unreachable, Unavailable)):
        run(READ, [event] * 5)


def test_a_write_that_was_never_sent_is_not_unclear():
    with pytest.raises(Unreachable):
        run(WRITE, [REFUSED] * 5)


def test_a_write_that_the_gateway_ended_in_time_is_not_unclear():
    with pytest.raises(TimedOut):
        run(WRITE, [refusal(504, "timeout")] * 5)


def test_a_write_that_failed_inside_the_gateway_is_unclear():
    with pytest.raises(Unclear) as raised:
        run(WRITE, [refusal(500, "internal_error")])
    assert isinstance(raised.value.last, ServerError)


@pytest.mark.parametrize(("status", "kind"), [(401, Unauthenticated), (403, Forbidden)])
def test_a_refusal_that_is_judged_before_the_key_leaves_a_lost_attempt_unclear(status, kind):
    with pytest.raises(Unclear) as raised:
        run(WRITE, [LOST, refusal(status, "x")])
    assert isinstance(raised.value.last, kind)
    with pytest.raises(kind):
        run(WRITE, [refusal(status, "x")])


def test_a_refusal_behind_the_key_says_that_the_lost_attempt_was_not_done():
    with pytest.raises(NotFound):
        run(WRITE, [LOST, refusal(404, "document_not_found")])


def test_what_is_on_its_way_is_waited_for_as_long_as_there_is_time():
    course = Course()
    result = run(
        WRITE,
        [LOST, *[ON_ITS_WAY] * 20, answer(200, {"deleted": True, "id": "a"}, idempotency_replayed="true")],
        course,
    )
    assert result.replayed is True
    assert len(course.sent) == 22, "more than the attempts of a write that fails"
    with pytest.raises(Unclear) as raised:
        run(WRITE, [LOST, *[ON_ITS_WAY] * 99], timeouts=Timeouts(total=5))
    assert isinstance(raised.value.last, Conflict)


def test_another_conflict_is_not_waited_for():
    with pytest.raises(Conflict):
        run(WRITE, [refusal(409, "conflict")])


def test_what_takes_no_key_is_sent_again_only_where_it_did_not_arrive():
    done = answer(200, {"file": "policy.yml", "sha256": "x"})
    assert run(POLICY, [REFUSED, refusal(429, "rate_limited"), done])["file"] == "policy.yml"
    for event in (LOST, refusal(503, "unavailable"), answer(502, b"")):
        course = Course()
        with pytest.raises(Unclear) as raised:
            run(POLICY, [event, done], course)
        assert (len(course.sent), raised.value.idempotency_key) == (1, None)


# -- tokens


def test_a_token_is_asked_for_anew_once():
    course = Course()
    assert run(READ, [refusal(401, "unauthorized"), COUNTED], course, renews=True) == 3
    assert [one.headers["authorization"] for one in course.sent] == ["Bearer secret1", "Bearer secret2"]
    with pytest.raises(Unauthenticated):
        run(READ, [refusal(401, "unauthorized")] * 2, renews=True)
    with pytest.raises(Unauthenticated):
        run(READ, [refusal(401, "unauthorized")])


def test_a_write_keeps_its_key_over_a_new_token():
    course = Course()
    run(WRITE, [refusal(401, "unauthorized"), DELETED], course, renews=True)
    assert len({one.headers["idempotency-key"] for one in course.sent}) == 1


# -- the policy alone


def test_the_last_attempt_is_the_last():
    judged = judge(LOST, Tried(4), "freely", Retries(attempts=5), 60, 0.5)
    assert judged == Ended(in_doubt=False)
    assert judge(LOST, Tried(3), "freely", Retries(attempts=5), 60, 0.5) == Again(0.4, Tried(4))


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"first": -1}, {"first": 9, "longest": 1}])
def test_retries_that_make_no_sense_are_refused(wrong):
    with pytest.raises(Unsendable):
        Retries(**wrong)


@pytest.mark.parametrize("wrong", [0, -1, float("nan")])
def test_there_is_no_call_without_an_end(wrong):
    with pytest.raises(Unsendable):
        Timeouts(total=wrong)


def test_a_write_that_is_on_its_way_is_looked_after_at_leisure():
    """Also where whoever answers says that it may be asked again at once."""
    verdict = judge(refusal(409, "conflict", retry_after="0"), Tried(), "keyed", Retries(first=0.0), 60.0, 0.0)
    assert isinstance(verdict, Again)
    assert verdict.seconds >= 0.2
