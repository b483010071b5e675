"""Plans for what is asked of the gateway itself: they name who may, and no row of a collection."""

from __future__ import annotations

from dataclasses import dataclass

from permission_mongo.hierarchy import Staff, Tenant, User


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose jobs: those that this subject began with this kind of credential, or `all_of_tenant`."""

    tenant: str | None
    subject: str
    kind: str
    all_of_tenant: bool


@dataclass(frozen=True, slots=True)
class JobPlan:
    """Tell of one job."""

    job: str
    whose: Whose


@dataclass(frozen=True, slots=True)
class CancelPlan:
    """Have one job end, and tell of it."""

    job: str
    whose: Whose


@dataclass(frozen=True, slots=True)
class JobsPlan:
    """The newest jobs, at most `limit`."""

    whose: Whose
    limit: int


@dataclass(frozen=True, slots=True)
class KinPlan:
    """Find the people around one: `relations` by their names in rules, at most `most` people of each.

    What is known may be `seconds` old where another gateway changed it.
    """

    tenant: Tenant
    user: User
    relations: frozenset[str]
    most: int
    seconds: float


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """Find anew who is above whom in one tenant."""

    staff: Staff
    tenant: Tenant
    audited: bool


Serving = JobPlan | JobsPlan
Doing = CancelPlan | SyncPlan
