"""Buckets: exact to the item, bounded in number, and honest about when to come back."""

import sys

import pytest

from permission_mongo.batch import Batch
from permission_mongo.documents.changes import Merge
from permission_mongo.errors import InvalidRequest, RateLimited
from permission_mongo.operations import (
    Alike,
    ByFilter,
    ByIds,
    ByTags,
    CreateMany,
    DeleteMany,
    Each,
    GetMany,
    GetOne,
    ListMany,
    Revised,
    Sent,
    Undo,
    UpdateMany,
)
from permission_mongo.outcomes import BatchOutcome, Deleted
from permission_mongo.principal import Principal
from permission_mongo.query.filters import EVERYTHING
from permission_mongo.query.limits import Rate
from permission_mongo.rates import (
    Payer,
    Rates,
    cost_of,
    network_of,
    owed_for,
    paying_address,
    paying_principal,
)

TEN = (Payer("principal", "a", 2.0, 10.0),)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rates(clock) -> Rates:
    return Rates(clock=clock)


def charges(rates: Rates, payers, cost: int = 1) -> int:
    """How many are let through before the first that is not."""
    for n in range(1_000):
        try:
            rates.charge(payers, cost)
        except RateLimited:
            return n
    raise AssertionError("never refused")


def test_t33_a_bucket_holds_its_burst_to_the_item_and_fills_by_its_rate(rates, clock):
    assert charges(rates, TEN) == 10
    clock.now += 1.5
    assert charges(rates, TEN) == 3
    clock.now += 3600
    assert charges(rates, TEN, 5) == 2


def test_uneven_rates_lose_no_item_to_rounding(clock):
    """A third of a second a hundred times is what 33 items take."""
    rates, payers = Rates(clock=clock), (Payer("principal", "a", 1 / 3, 1.0),)
    let = 0
    for _ in range(301):
        let += charges(rates, payers)
        clock.now += 1.0
    assert let == 101


def test_what_is_refused_takes_nothing_of_any_bucket(rates):
    small, large = Payer("principal", "a", 1.0, 3.0), Payer("address", "b", 1.0, 100.0)
    rates.charge((large, small), 3)
    for _ in range(50):
        with pytest.raises(RateLimited, match="of this principal"):
            rates.charge((large, small), 1)
    assert charges(rates, (large,)) == 97


@pytest.mark.parametrize(("spent", "cost", "wait"), [(9, 2, 1), (9, 3, 2), (9, 10, 5), (5, 6, 1), (5, 10, 3)])
def test_who_waits_as_long_as_told_is_let_through_and_a_second_less_is_not_enough(rates, clock, spent, cost, wait):
    """The time told is for the whole request: the one that the door takes again, and the items behind it."""
    rates.charge(TEN, spent + 1)
    with pytest.raises(RateLimited) as told:
        rates.charge(TEN, cost - 1, before=1)
    assert told.value.details == {"retry_after": wait}
    clock.now += wait - 1
    with pytest.raises(RateLimited):
        rates.charge(TEN, cost)
    clock.now += 1
    rates.charge(TEN, 1)
    rates.charge(TEN, cost - 1, before=1)


def test_the_time_told_is_that_of_the_bucket_that_takes_longest(rates):
    payers = (Payer("address", "a", 10.0, 10.0), Payer("principal", "a", 0.1, 10.0), Payer("address", "b", 0.5, 10.0))
    rates.charge(payers, 10)
    with pytest.raises(RateLimited, match="of this principal; try again in 10 s"):
        rates.charge(payers, 1)


def test_what_no_bucket_ever_holds_is_refused_for_good(rates):
    rates.charge(TEN, 1)
    rates.charge(TEN, 9, before=1)
    with pytest.raises(InvalidRequest, match=r"limits\.rate lets at most 10 items through at once") as told:
        rates.charge(TEN, 10, before=1)
    assert told.value.details == {"most_at_once": 10, "requested": 11}


def test_what_was_done_is_owed_by_at_most_one_bucket(rates, clock):
    rates.owe(TEN, 4)
    assert charges(rates, TEN) == 6
    rates.owe(TEN, 1_000_000)
    with pytest.raises(RateLimited) as told:
        rates.charge(TEN, 1)
    assert told.value.details == {"retry_after": 6}  # ten owed and one to take, two a second
    clock.now += 6
    assert charges(rates, TEN) == 2


def test_another_rate_is_taken_by_the_buckets_there_are(rates, clock):
    rates.charge(TEN, 10)
    assert charges(rates, (Payer("principal", "a", 2.0, 20.0),)) == 0
    clock.now += 2
    assert charges(rates, (Payer("principal", "a", 20.0, 20.0),)) == 20
    clock.now += 60
    assert charges(rates, (Payer("principal", "a", 1.0, 3.0),)) == 3


# -- how many


def test_buckets_are_bounded_and_those_unused_for_longest_go_first(clock):
    rates = Rates(most=100, clock=clock)
    payers = [(Payer("address", n, 1.0, 1.0),) for n in range(1_000)]
    for one in payers:
        rates.charge(one, 1)
    assert len(rates) == 100
    assert [charges(rates, one) for one in (payers[999], payers[0])] == [0, 1]


def test_a_bucket_in_use_is_not_forgotten(clock):
    rates = Rates(most=10, clock=clock)
    busy = (Payer("address", "busy", 1.0, 5.0),)
    rates.charge(busy, 5)
    for n in range(100):
        with pytest.raises(RateLimited):
            rates.charge(busy, 1)
        rates.charge((Payer("address", f"other {n}", 1.0, 5.0),), 1)
    assert len(rates) == 10


def test_a_bucket_costs_some_hundred_bytes(rates):
    rates.charge(TEN, 1)
    bucket = next(iter(rates._buckets.values()))
    assert sys.getsizeof(bucket) + 2 * sys.getsizeof(bucket.left) < 150


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("", "10.0.0.1", False),
        ("not: an address", "10.0.0.1", False),
    ],
)
def test_an_address_is_itself_and_of_ipv6_its_64(one, other, same):
    assert (network_of(one) == network_of(other)) is same


# -- who


def a_principal(subject="alice", tenant="acme", kind="token", **more) -> Principal:
    return Principal(subject, tenant, frozenset(), {}, kind, **more)


def test_a_principal_is_kind_tenant_and_subject_and_neither_token_nor_namespace():
    rate = Rate(per_principal=1.0)
    alice = paying_principal(rate, a_principal())
    assert alice == paying_principal(rate, a_principal(credential="another", namespaces=frozenset({"eu"})))
    for other in (a_principal("bob"), a_principal(tenant="evil"), a_principal(kind="key"), a_principal(tenant=None)):
        assert paying_principal(rate, other) != alice


def test_only_what_has_a_rate_pays():
    assert paying_principal(Rate(per_address=1.0), a_principal()) == ()
    assert paying_address(Rate(per_principal=1.0), "10.0.0.1") == ()
    assert paying_address(Rate(per_address=3.0, burst=2.0), None)[0].most == 6.0


# -- what


IDS, FILTER = ByIds(("a", "b", "c")), ByFilter(EVERYTHING)
BATCH = Batch("b")


@pytest.mark.parametrize(
    ("operation", "cost", "owed"),
    [
        (GetOne(None, "a"), 1, 0),
        (ListMany(None, 1000), 1, 0),
        (GetMany(None, ("a", "b")), 2, 0),
        (CreateMany(None, tuple(Sent(one, {}) for one in "abcd"), BATCH), 4, 0),
        (DeleteMany(None, IDS, BATCH), 3, 0),
        (DeleteMany(None, ByTags({"a": None, "b": None}), BATCH), 2, 0),
        (UpdateMany(None, Alike(IDS, Merge({})), BATCH), 3, 0),
        (UpdateMany(None, Each((Revised("a", Merge({})),) * 5), BATCH), 5, 0),
        (DeleteMany(None, FILTER, BATCH), 1, 7),
        (UpdateMany(None, Alike(FILTER, Merge({})), BATCH), 1, 7),
        (Undo(None, "b", BATCH), 1, 7),
    ],
    ids=lambda one: type(one).__name__,
)
def test_t33_each_named_item_costs_one_and_what_a_filter_touched_is_owed(operation, cost, owed):
    touched = BatchOutcome("updated", ("a", "b", "c"), counted=4, unchanged=3, unlisted=1)
    assert (cost_of(operation), owed_for(operation, touched)) == (cost, owed)
    assert owed_for(operation, Deleted("a")) == 0
    assert owed_for(operation, BatchOutcome("updated", ())) == 0
