"""Who is told of a job: its creator by the same kind of credential, and who may look after the tenant's."""

from dataclasses import replace

import pytest

from permission_mongo.config.model import Config
from permission_mongo.operations import CancelJob, GetJob, ListJobs
from permission_mongo.planning.callers import Asking, Callers
from permission_mongo.planning.service import plan_service
from permission_mongo.policy.grants import Policy
from permission_mongo.policy.rules import Role
from permission_mongo.principal import Principal
from permission_mongo.service import CancelPlan, JobPlan, JobsPlan, Whose
from tests.builders import NOW, a_rule

JOB = "0" * 32
OWN = Whose("acme", "alice", "token", all_of_tenant=False)


def planned(operation, *, kind="token", tenant="acme", roles=("user",)):
    known = {"user": Role("user"), "chief": Role("chief", system=frozenset({"admin"}))}
    callers = Callers(Config({}, Policy((a_rule(),), known)), bytes(32))
    who = Principal("alice", tenant, frozenset(roles), {}, kind)
    return plan_service(operation, Asking(who, NOW, {}, "r1"), callers)


def test_a_creators_own_jobs_are_those_of_the_same_credential_kind_and_tenant():
    assert planned(ListJobs(7)) == JobsPlan(OWN, 7)
    assert planned(GetJob(JOB)) == JobPlan(JOB, OWN)
    assert planned(CancelJob(JOB)) == CancelPlan(JOB, OWN)
    assert planned(GetJob(JOB), kind="key").whose == replace(OWN, kind="key")
    assert planned(GetJob(JOB), tenant=None).whose == replace(OWN, tenant=None)


@pytest.mark.parametrize("operation", [GetJob(JOB), CancelJob(JOB)], ids=lambda one: type(one).__name__)
def test_an_admin_is_told_of_any_job_of_the_same_tenant(operation):
    assert planned(operation, roles=("user", "chief")).whose == replace(OWN, all_of_tenant=True)
    assert not planned(operation, roles=("user", "admin")).whose.all_of_tenant


def test_an_admin_lists_their_own_alone():
    assert planned(ListJobs(7), roles=("chief",)) == JobsPlan(OWN, 7)
