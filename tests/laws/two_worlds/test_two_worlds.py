"""The two-worlds law: a caller must not learn anything that it can't see.

Two databases alike in all the caller may see and different elsewhere; random sequences of requests are answered with
equal status, headers and bytes, and change nothing that the caller does not see.
"""

import os
from collections import Counter

import pytest

from tests.laws.two_worlds import doors
from tests.laws.two_worlds.contents import VISIBLE_IDS, two_contents
from tests.laws.two_worlds.rules import COLLECTIONS, PLACES, ROLES, hidden_places, sees, shows_containers
from tests.laws.two_worlds.sequences import GENERATORS, IN_THE_APP, Seen, ask_each, run_sequences
from tests.laws.two_worlds.worlds import Asked

pytestmark = pytest.mark.mongo
EXAMPLES = int(os.environ.get("LAW_EXAMPLES", "2000"))
SEQUENCES, REQUESTS = max(EXAMPLES // 200, 1), 40
SEEN: Seen = Counter()
# An admin is told more than its roles see of documents: these routes refuse the roles of this law.
FOR_ADMINS = {("GET", "/_pm/policy"), ("PUT", "/_pm/policy")} | {
    ("POST", f"/_pm/policy/{one}") for one in ("check", "test", "diff")
}


def test_every_route_has_a_generator():
    """METRICS is left out: it counts what all callers do, is for operators, and is public by configuration only."""
    assert IN_THE_APP - set(GENERATORS) == set()


def as_seen(role: str, collection: str, row: dict) -> dict:
    """A visible row by the oracle: places with their values, masked ones left out."""
    places = PLACES[collection] - hidden_places(role, collection, row) - {"ssn"}
    whole = shows_containers(role, collection, row)
    return {place: found for place in places if (found := _at(row, place, whole)) is not None}


def _at(row: dict, place: str, whole: bool) -> object:
    head, _, tail = place.partition(".")
    held = row.get(head)
    if not tail:
        return None if held is None else repr(held)
    if isinstance(held, list):
        seen = [one.get(tail) for one in held if isinstance(one, dict) and (whole or tail in one)]
        return repr(seen) if seen or whole else None
    return repr(held.get(tail)) if isinstance(held, dict) and tail in held else None


@pytest.mark.parametrize("role", ROLES)
def test_the_worlds_are_alike_where_the_role_sees_and_differ_elsewhere(role):
    """By the oracle alone, which knows nothing of the gateway."""
    for seed in range(20):
        both = two_contents(role, seed)
        for name in COLLECTIONS:
            stored = [{row["_id"]: row for row in one.live[name]} for one in both]
            seen = [
                {one: as_seen(role, name, row) for one, row in rows.items() if sees(role, name, row)} for rows in stored
            ]
            assert seen[0] == seen[1]
            assert len(seen[0]) == len(VISIBLE_IDS[name])
            assert repr(stored[0]) != repr(stored[1])
            hidden = [{one for one in rows if one not in seen[0]} for rows in stored]
            assert not (hidden[0] | hidden[1]) & set(VISIBLE_IDS[name])
        assert both[0].versions != both[1].versions


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", COLLECTIONS)
def test_the_gateway_shows_what_the_oracle_says(pair, run, role, name):
    """No row less, and no place less: what is never shown can't be told apart either."""
    run.run(pair.begin(role, 7))
    told = run.run(pair.ask(Asked(("GET", "/{collection}"), f"/{name}", (("_limit", "50"),))))[0]
    shown = {row["_id"]: row for row in told.json()["data"]}
    assert set(shown) == {str(one) for one in VISIBLE_IDS[name]}
    for row in pair.contents[0].live[name]:
        if row["_id"] in VISIBLE_IDS[name]:
            found = shown[str(row["_id"])]
            places = PLACES[name] - hidden_places(role, name, row)
            plain = {place for place in PLACES[name] if "." not in place}
            assert set(found) & plain == places & plain & set(row)
            for place in PLACES[name] - plain:
                if place in places:
                    assert _at(found, place, False) == _at(row, place, False)
                else:
                    assert _at(found, place, False) is None


@pytest.mark.parametrize("role", ROLES)
def test_two_worlds_alike_to_a_caller_answer_alike(pair, run, role):
    run_sequences(pair, role, run, SEEN, sequences=SEQUENCES, requests=REQUESTS)


@pytest.mark.parametrize("role", ROLES)
def test_two_worlds_answer_alike_through_the_doors_too(pair, run, role):
    """Each of theirs some times, for among all routes each of them comes seldom."""
    asked = [route for route in doors.GENERATORS if route not in doors.REFUSED]
    ask_each(pair, role, run, SEEN, asked, times=max(SEQUENCES // 3, 1))


def test_the_law_was_not_empty():
    """Each route was answered with 2xx, and the routes of documents with 400, 403 and 404 too."""
    if not SEEN:
        pytest.skip("needs the sequences above")
    told = {route: Counter({status: n for (one, status), n in SEEN.items() if one == route}) for route in GENERATORS}
    for route, statuses in told.items():
        print(f"{'' if route in IN_THE_APP else '(absent) '}{' '.join(route)}: {dict(sorted(statuses.items()))}")
    print(f"{sum(SEEN.values())} requests to both worlds")
    fine = {GENERATORS[route] for (route, status) in SEEN if 200 <= status < 300}  # twins ask the same
    assert [
        route for route in IN_THE_APP if route not in FOR_ADMINS | doors.REFUSED and GENERATORS[route] not in fine
    ] == []
    assert sum(SEEN.values()) >= 500
    assert {400, 403, 404} <= {status for _, status in SEEN}
    denied = {GENERATORS[route] for (route, status) in SEEN if 400 <= status < 500}
    documents = [route for route in IN_THE_APP if "{collection}" in route[1]]
    assert [route for route in documents if GENERATORS[route] not in denied] == []
