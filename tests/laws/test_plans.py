"""A plan's filter on a real server finds the rows that Casbin's check mode permits, for random rules and role sets."""

import pymongo
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from permission_mongo.policy.binding import bind
from permission_mongo.policy.evaluate import verdict
from permission_mongo.policy.guard import narrow
from permission_mongo.values import CODEC
from tests.builders import a_caller, a_policy
from tests.policy.test_grants import INHERITS, ROLES, reach, some_documents, some_rules

pytestmark = pytest.mark.mongo


def test_plan_and_filter_equal_check_mode_on_a_real_server(mongo_uri):
    pairs = granted = 0
    with pymongo.MongoClient(mongo_uri) as client:
        database = client.get_database("law_plans", codec_options=CODEC)

        @settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(
            some_rules(),
            st.sets(st.sampled_from(ROLES), min_size=1),
            st.lists(some_documents(), min_size=8, max_size=8),
        )
        def law(rules, roles, documents):
            nonlocal pairs, granted
            policy, caller = a_policy(*rules, inherits=INHERITS), a_caller(roles=tuple(roles), n=1)
            rows = [{**document, "_id": n} for n, document in enumerate(documents)]
            match = narrow({}, reach(policy, *roles, n=1)).filter
            stages = [{"$documents": [{"$literal": row} for row in rows]}, {"$match": match}]
            found = {row["_id"] for row in database.aggregate(stages)}
            permitted = {
                row["_id"]
                for row in rows
                if policy.engine.permits(
                    frozenset(roles),
                    "notes",
                    "read",
                    lambda rule_id, row=row: verdict(bind(policy.rules[rule_id].when, caller), row),
                )
            }
            assert found == permitted
            pairs, granted = pairs + len(rows), granted + len(found)

        law()
    assert 0.02 < granted / pairs < 0.98
