"""Chains of managers, by the words of a plain walk; and changes that can't be."""

from hypothesis import given, settings
from hypothesis import strategies as st

from permission_mongo.hierarchy import DEEPEST, Change, Person, Staff, chains_of, placed
from tests.http.people import closure_of

NAMES = [f"p{n}" for n in range(8)]
PEOPLE = st.dictionaries(st.sampled_from(NAMES), st.none() | st.sampled_from([*NAMES, "gone"]))


def added(one: str, manager: str | None) -> Change:
    return Change(one, None, Person("t", one, manager))


def moved(one: str, old: str | None, new: str | None) -> Change:
    return Change(one, Person("t", one, old), Person("t", one, new))


@settings(max_examples=300)
@given(PEOPLE)
def test_a_chain_is_what_walking_upwards_meets(people):
    found = chains_of(people)
    assert {one: list(chain) for one, chain in found.of.items()} == closure_of(people)
    assert all(found.of[one] == () for one in found.loops)


@settings(max_examples=300)
@given(PEOPLE, st.dictionaries(st.sampled_from(NAMES), st.none() | st.sampled_from(NAMES), max_size=4))
def test_what_is_placed_has_no_loop_and_nobody_of_it_names_one_who_is_not_there(people, wanted):
    """Whatever was refused, the rest together is sound, and nothing sound by itself is refused for nothing."""
    people = {one: manager for one, manager in people.items() if closure_of(people)[one] or manager is None}
    people = {one: manager if manager in people else None for one, manager in people.items()}
    changes = [moved(one, people[one], new) if one in people else added(one, new) for one, new in wanted.items()]
    others = {one: manager for one, manager in people.items() if one not in wanted}
    placing = placed(others, changes, {}, may_lack=False)
    after = {**people, **{one: new for one, new in wanted.items() if one not in placing.faults}}
    assert {one: list(chain) for one, chain in placing.chains.items()} == closure_of(after)
    assert not chains_of(after).loops
    assert all(manager is None or manager in after for manager in after.values())
    assert not placing.faults or any(after.get(one) != new for one, new in wanted.items())


def test_who_leans_on_one_who_is_refused_is_refused_as_well():
    changes = [added("a", "nobody"), added("b", "a"), added("c", "b"), added("d", None)]
    assert placed({}, changes, {}, may_lack=False).faults == {"a": "absent", "b": "absent", "c": "absent"}


def test_of_a_long_chain_of_such_each_is_looked_at_once():
    names = [f"p{n}" for n in range(5000)]
    changes = [added(one, above) for one, above in zip(names, ["nobody", *names], strict=False)]
    assert len(placed({}, changes, {}, may_lack=False).faults) == 5000


def test_where_a_manager_may_lack_the_chain_ends():
    placing = placed({}, [added("a", "nobody"), added("b", "a")], {}, may_lack=True)
    assert (placing.faults, dict(placing.chains)) == ({}, {"a": (), "b": ("a",)})


def test_those_of_a_loop_are_refused_and_those_below_follow():
    changes = [moved("a", None, "c"), moved("z", None, "a")]
    placing = placed({"b": "a", "c": "b"}, changes, {}, may_lack=False)
    assert placing.faults == {"a": "loop"}
    assert placing.chains["z"] == ("a",)


def test_too_deep_is_whoever_moved_lowest_above_it():
    names = [f"p{n}" for n in range(DEEPEST + 1)]
    others = dict(zip(names[1:], names, strict=False))
    placing = placed(others, [moved("p0", None, "top"), moved("top", None, "over")], {"over": ()}, may_lack=False)
    assert placing.faults == {"p0": "deep"}


def test_known_chains_end_those_that_reach_them():
    assert placed({}, [added("a", "m")], {"m": ("n", "o")}, may_lack=False).chains["a"] == ("m", "n", "o")


def test_what_another_writer_left_in_place_of_an_id_is_no_person():
    staff = Staff("users", "tenant_id", "_id", "manager_id")
    assert staff.person({"_id": "a", "tenant_id": "t", "manager_id": {"$ne": 1}}) == Person("t", "a", None)
    for wrong in ({"_id": 5}, {"_id": "a"}, {"_id": "a", "tenant_id": ["t"]}, {"_id": "x" * 2000, "tenant_id": "t"}):
        assert staff.person(wrong) is None
