"""The two-worlds law: a caller must not learn anything that it can't see.

Two databases alike in all the caller may see and different elsewhere; random sequences of requests are answered with
equal status, headers and bytes, and change nothing that the caller does not see.
"""

import os
from collections import Counter

import pytest

from permission_mongo.api.app import ROUTES
from tests.laws.two_worlds.requests import GENERATORS
from tests.laws.two_worlds.rules import ROLES
from tests.laws.two_worlds.sequences import IN_THE_APP, Seen, run_sequences

pytestmark = pytest.mark.mongo
EXAMPLES = int(os.environ.get("LAW_EXAMPLES", "2000"))
SEQUENCES, REQUESTS = max(EXAMPLES // 200, 1), 40
SEEN: Seen = Counter()


def test_every_route_has_a_generator():
    """METRICS is left out: it counts what all callers do, is for operators, and is public by configuration only."""
    assert {(method, path) for method, path, _ in ROUTES} - set(GENERATORS) == set()


@pytest.mark.parametrize("role", ROLES)
def test_two_worlds_alike_to_a_caller_answer_alike(pair, run, role):
    run_sequences(pair, role, run, SEEN, sequences=SEQUENCES, requests=REQUESTS)


def test_the_law_was_not_empty():
    """Each route was answered with 2xx, and the routes of documents with 400, 403 and 404 too."""
    if not SEEN:
        pytest.skip("needs the sequences above")
    told = {route: Counter({status: n for (one, status), n in SEEN.items() if one == route}) for route in GENERATORS}
    for route, statuses in told.items():
        print(f"{'' if route in IN_THE_APP else '(absent) '}{' '.join(route)}: {dict(sorted(statuses.items()))}")
    print(f"{sum(SEEN.values())} requests to both worlds")
    assert [route for route in IN_THE_APP if not any(200 <= status < 300 for status in told[route])] == []
    assert sum(SEEN.values()) >= 500
    assert {400, 403, 404} <= {status for _, status in SEEN}
