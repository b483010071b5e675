"""Who may do what by the text of the policy: as the policy says it to callers, for every role, collection and action."""

from pathlib import Path
from random import Random
from time import process_time

from permission_mongo.config.load import load_config
from permission_mongo.planning.matrix import _cells, speaking_of
from permission_mongo.policy.rules import ACTIONS
from tests.builders import a_policy, a_rule

CONFIG = load_config(Path(__file__).parents[2] / "config", {})


def test_the_rules_of_a_cell_are_those_that_the_policy_would_ask():
    policy = CONFIG.policy
    for role in policy.roles:
        held = policy.engine.roles_of((role,))
        for name in CONFIG.collections:
            rules = [rule for rule in policy.rules.values() if rule.collection == name and rule.role in held]
            for action in ACTIONS:
                assert speaking_of(rules)[action] == policy.speaking(frozenset({role}), name, action), (
                    role,
                    name,
                    action,
                )


def test_what_is_hidden_is_no_denial_of_rows():
    one = a_rule(actions=("read",))
    hiding = a_rule(effect="deny", actions=("read",), hidden=("title",))
    found = speaking_of([one, hiding])["read"]
    assert (found.allows, found.denies, found.hides) == ((one,), (), (hiding,))


def test_what_is_remembered_for_callers_stays():
    policy = CONFIG.policy
    before = policy.speaking.cache_info()
    assert list(_cells(policy, CONFIG.collections))
    assert policy.speaking.cache_info() == before


def test_many_rules_take_no_time_that_others_would_feel():
    rnd, roles = Random(7), [f"r{n}" for n in range(60)]
    rules = [a_rule(rnd.choice(roles), actions=ACTIONS, collection="documents") for _ in range(3000)]
    policy = a_policy(*rules)
    started = process_time()
    assert len(list(_cells(policy, CONFIG.collections))) == len(roles) * len(ACTIONS)
    assert process_time() - started < 1.0
