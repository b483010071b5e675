"""What narrows a query to a caller's rows, as such."""

import pytest

from permission_mongo.policy.guard import Guarded

OWN = {"$and": [{"tenant_id": "acme"}, {"owner_id": "alice"}]}


def test_a_filter_asks_as_one_of_the_same_bytes():
    assert Guarded(OWN).asks_as(Guarded({"$and": [{"tenant_id": "acme"}, {"owner_id": "alice"}]}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (OWN, {"tenant_id": "acme"}),
        (OWN, {}),
        ({"level": 1}, {"level": True}),
        ({"level": 1}, {"level": 1.0}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ],
)
def test_a_filter_that_differs_in_a_type_or_an_order_asks_another_question(one, other):
    assert not Guarded(one).asks_as(Guarded(other))
