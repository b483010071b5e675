"""References are planned without a query: who may point where is in the filter, or nothing is asked at all."""

from pathlib import Path

import pytest

from permission_mongo.planning.callers import Asking, Callers
from permission_mongo.planning.references import references_of
from permission_mongo.principal import Principal
from permission_mongo.values import utc_now
from tests.http.harness import a_config
from tests.http.test_references import POLICY, SCHEMA


@pytest.fixture
def callers(tmp_path: Path) -> Callers:
    return Callers(a_config(tmp_path, schema=SCHEMA, policy=POLICY), b"k" * 32)


def planned(callers: Callers, *documents: dict, roles=("user",), tenant: str | None = "acme"):
    who = Principal("alice", tenant, frozenset(roles), {}, "token")
    asking = Asking(who, utc_now(), {}, "r1")
    numbered = [(n, {"tenant_id": "acme", **one}) for n, one in enumerate(documents)]
    return references_of(numbered, callers.config.collections["tasks"], asking, callers)


def test_documents_that_refer_to_one_collection_make_one_question(callers):
    found = planned(callers, {"owner": "a"}, {"helpers": ["b", None]}, {"title": "x"})
    assert [(one.index, one.field, one.id) for one in found[0].wanted] == [(0, "owner", "a"), (1, "helpers.0", "b")]
    assert len(found) == 1


def test_the_callers_own_rule_and_tenant_are_in_the_filter(callers):
    text = str(planned(callers, {"owner": "a"})[0].match.filter)
    assert "'open'" in text
    assert "'acme'" in text


def test_t25_without_a_right_to_read_nothing_is_asked(callers):
    assert planned(callers, {"secret": "a"})[0].match.is_empty


def test_t25_without_a_tenant_no_existence_is_told(callers):
    assert planned(callers, {"known": "a"}, tenant=None)[0].match.is_empty
