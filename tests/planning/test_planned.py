"""A list that a caller asks again in the same words has its plan already; nobody else, and nothing else, is given it."""

from dataclasses import replace

import pytest

from permission_mongo.errors import Forbidden
from permission_mongo.parsing.lists import read_list_of, read_query
from permission_mongo.planning.planned import Planned
from permission_mongo.planning.targets import target_of
from permission_mongo.query.limits import Limits
from tests.builders import NOW, a_rule
from tests.planning.test_plans import NOTES, a_planner, a_principal, asked

OWN = a_rule("user", "resource.owner == user.id")
WORDS = b'title={"$gt":"a"}&_limit=5&_sort=title'


def read(sent=WORDS):
    return read_list_of(sent, NOTES, Limits())


def test_the_same_caller_and_words_have_the_plan_again():
    planner, alice = a_planner(OWN), a_principal()
    first = planner.plan(read(), asked(alice))
    assert planner.plan(read(), asked(alice)) is first
    assert planner.plan(read(b"_limit=5"), asked(alice)) is not first


@pytest.mark.parametrize(
    "other",
    [
        a_principal("bob"),
        a_principal(tenant="other"),
        a_principal(roles=("user", "boss")),
        a_principal(),  # the same person by another credential, whose claims may differ
    ],
)
def test_no_two_principals_share_a_plan(other):
    planner, alice = a_planner(OWN), a_principal()
    plan, theirs = planner.plan(read(), asked(alice)), planner.plan(read(), asked(other))
    assert theirs is not plan
    fresh = a_planner(OWN).plan(read(), asked(other))
    assert (theirs.match, theirs.prefix, theirs.question) == (fresh.match, fresh.prefix, fresh.question)


def test_who_may_not_read_is_refused_whatever_is_planned_for_others():
    planner = a_planner(OWN)
    planner.plan(read(), asked(a_principal()))
    with pytest.raises(Forbidden):
        planner.plan(read(), asked(a_principal(roles=("nobody",))))


@pytest.mark.parametrize("when", ["resource.at < now", "resource.owner == request.ip"])
def test_what_a_rule_reads_of_the_request_is_read_at_each(when):
    planner, alice = a_planner(a_rule("user", when)), a_principal()
    first = planner.plan(read(), asked(alice))
    again = planner.plan(read(), asked(alice, now=NOW.replace(year=NOW.year + 1)))
    assert again is not first
    assert (again.match.filter != first.match.filter) is ("now" in when)
    assert not planner.planned._plans, "nobody will ask for them"


def test_a_cursor_and_a_body_are_read_anew():
    planner, alice = a_planner(OWN), a_principal()
    cursor = planner.cursors.seal("x", planner.plan(read(b"_limit=1"), asked(alice)).question, asked().posix())
    behind = f"_limit=1&_cursor={cursor}".encode()
    assert planner.plan(read(behind), asked(alice)) is not planner.plan(read(behind), asked(alice))
    body = read_query(b"{}", NOTES, Limits())
    assert planner.plan(body, asked(alice)) is not planner.plan(body, asked(alice))


def test_only_so_many_are_held():
    planner, held = a_planner(OWN), Planned()
    plan = planner.plan(read(), asked())
    for number in range(1, 2000):
        access = planner.callers.access(asked(a_principal(str(number))), NOTES, "read")
        held.keep(access, read(), plan)
    assert len(held._plans) == 1024


def test_what_is_written_to_is_made_once_for_a_configuration_and_ends_with_it():
    config = a_planner(OWN).callers.config
    target = target_of(NOTES, config)
    assert target_of(NOTES, config) is target
    other = replace(config, limits=replace(config.limits, max_transaction_bytes=1234))
    assert other.remembered == {}
    assert target_of(NOTES, other).max_bytes == 1234
    assert target_of(NOTES, config) is target
