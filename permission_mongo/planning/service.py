"""Plans for what is asked of the gateway itself: whose jobs a caller may see and end, whose hierarchy find anew."""

from __future__ import annotations

from typing import assert_never

from permission_mongo.operations import CancelJob, GetJob, ListJobs, SyncHierarchy
from permission_mongo.planning.callers import Asking, Callers
from permission_mongo.planning.hierarchy import plan_sync
from permission_mongo.service import CancelPlan, Doing, JobPlan, JobsPlan, Serving, Whose

OfJobs = GetJob | CancelJob | ListJobs


def plan_service(
    operation: GetJob | CancelJob | ListJobs | SyncHierarchy, asking: Asking, callers: Callers
) -> Serving | Doing:
    """One's own jobs are listed; one of another's is told to who has the system right `admin` in the same tenant."""
    who = asking.principal
    own = Whose(who.tenant, who.subject, who.kind, all_of_tenant=False)
    match operation:
        case ListJobs(limit):
            return JobsPlan(own, limit)
        case GetJob(job):
            return JobPlan(job, _theirs(own, asking, callers))
        case CancelJob(job):
            return CancelPlan(job, _theirs(own, asking, callers))
        case SyncHierarchy():
            return plan_sync(operation, asking, callers)
        case _:
            assert_never(operation)


def _theirs(own: Whose, asking: Asking, callers: Callers) -> Whose:
    return Whose(own.tenant, own.subject, own.kind, callers.has_system_right(asking, "admin"))
