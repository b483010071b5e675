"""Plans for what is asked of the gateway itself: they name who may, and no row of a collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from permission_mongo.documents.etags import Tags
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
class Engine:
    """What stores the documents of a namespace. `folder` is that of the embedded server's data, None for one's own."""

    version: str = "unknown"
    folder: str | None = None
    namespace: str = "default"


@dataclass(frozen=True, slots=True)
class TellPlan:
    """Tell what the configuration says; nothing has to be looked up."""

    told: Mapping[str, Any]
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class CheckPlan:
    """Check these texts, all that a policy is made of."""

    texts: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """Run the policy tests that are among these texts."""

    texts: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class DiffPlan:
    """Compare what is loaded with these texts, for each role and for the sets `beside`."""

    loaded: Mapping[str, str] = field(repr=False)
    texts: Mapping[str, str] = field(repr=False)
    beside: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class WritePlan:
    """Replace the file `name` of `folder`; `texts` are all that a policy is made of, this one included."""

    folder: Path
    name: str
    if_match: Tags
    texts: Mapping[str, str] = field(repr=False)


FilesPlan = CheckPlan | TrialPlan | DiffPlan | WritePlan


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


Serving = JobPlan | JobsPlan | TellPlan
Doing = CancelPlan | SyncPlan
