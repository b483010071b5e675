"""Which documents may be looked at for what a change of the policy would mean: those that one may ask about anyway."""

from __future__ import annotations

from collections.abc import Iterator

from permission_mongo.errors import Forbidden
from permission_mongo.explanations import SurveyPlan
from permission_mongo.planning.callers import Asking, Callers
from permission_mongo.planning.me import require_admin
from permission_mongo.policy.guard import Guarded, narrow_bound
from permission_mongo.policy.nodes import ALWAYS


def plan_survey(asking: Asking, callers: Callers) -> SurveyPlan:
    """Forbidden without `admin` and `explain`: who has both is told as much of each document by explanations.

    Of documents without a tenant no tenant's admin is told, as there.
    """
    require_admin(asking, callers)
    if not callers.has_system_right(asking, "explain"):
        raise Forbidden("documents are counted with the system right 'explain' as well")
    return SurveyPlan(dict(_rows(asking, callers)), callers.config.audit.enabled)


def _rows(asking: Asking, callers: Callers) -> Iterator[tuple[str, Guarded]]:
    everywhere = callers.crosses_with_right(asking, "admin")
    for name, collection in callers.config.collections.items():
        if everywhere or (collection.tenant_field is None and asking.principal.tenant is None):
            yield name, narrow_bound(ALWAYS)
        elif collection.tenant_field is not None:
            yield name, narrow_bound(callers.own_tenant(asking, collection))
