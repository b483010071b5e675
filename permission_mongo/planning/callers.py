"""A caller at a collection: the grants that speak, bound to the caller, within the caller's tenant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from permission_mongo.config.model import Config
from permission_mongo.documents.paths import Path as FieldPath
from permission_mongo.documents.paths import asked_path
from permission_mongo.errors import Forbidden
from permission_mongo.planning.related import Related
from permission_mongo.plans import Actor, Once
from permission_mongo.policy.binding import Bindings, bind
from permission_mongo.policy.grants import Lens, Policy, Reach, Speaking, relations_in
from permission_mongo.policy.guard import Guarded, narrow
from permission_mongo.policy.kin import NOBODY, Kin
from permission_mongo.policy.nodes import ALWAYS, Compare, Expression, Path, Value
from permission_mongo.policy.rules import Action, Rule, RuleId
from permission_mongo.prehooks import Asked
from permission_mongo.principal import Principal
from permission_mongo.query.filters import Query
from permission_mongo.schema.model import Collection
from permission_mongo.service import KinPlan
from permission_mongo.shares import Share
from permission_mongo.values import MongoFilter, read_scalar

_MOST_BOUND: Final = 8192
_EPOCH: Final = datetime(1970, 1, 1)
_NOBODY: Final = Bindings("", None, (), {}, {}, _EPOCH)


@dataclass(frozen=True, slots=True)
class Asking:
    """One request: who, when, and what rules may read of the request itself; `once` of a write with a key.

    `kin` are the people around the caller, once a rule has asked for them.
    `asked` has what the outside said of its documents, where hooks ask it. `repeats`: the write was done before, and
    the plan is for telling what it did. `share` is what an answer that may be large waits for, before its query. `base`
    is the address that the gateway was asked at, where the answer has addresses of its own. `spent` is what was worked
    with last: to let go of a thousand documents takes half a millisecond, for which no answer has to wait.
    """

    principal: Principal
    now: datetime
    request: Mapping[str, Any]
    request_id: str
    once: Once | None = None
    kin: Kin | None = None
    asked: Mapping[Any, Asked] = field(default_factory=dict)
    repeats: bool = False
    share: Share | None = None
    base: str = ""
    spent: list[object] = field(default_factory=list, compare=False, repr=False)

    def actor(self) -> Actor:
        who = self.principal
        roles = tuple(sorted(who.roles))
        return Actor(who.subject, who.tenant, who.credential, roles, self.now, self.request_id, self.once)

    def posix(self) -> float:
        """The moment in seconds since 1970."""
        return (self.now - _EPOCH).total_seconds()

    def bindings(self) -> Bindings:
        who = self.principal
        kin = NOBODY if self.kin is None else self.kin
        return Bindings(who.subject, who.tenant, tuple(who.roles), who.claims, self.request, self.now, kin)


class KinWanted(Exception):
    """A rule of the plan reads the hierarchy: whoever can read it makes the plan again with what `plan` finds."""

    def __init__(self, plan: KinPlan) -> None:
        super().__init__()
        self.plan = plan


@dataclass(frozen=True, slots=True)
class Access:
    """What one caller may do by one action in one collection. `lasts`: it is the same at each of their requests."""

    speaking: Speaking
    reach: Reach
    lens: Lens
    rows: Guarded
    lasts: bool = False

    def lending(self, paths: Iterable[FieldPath]) -> Reach:
        """The rows that may take part in a request on these paths."""
        wanted = tuple(paths)
        return self.reach.lending(wanted) if wanted else self.reach

    def matching(self, asked: MongoFilter, lending: Reach) -> Guarded:
        """What was asked for, among the rows that lend."""
        if lending is not self.reach:
            return narrow(asked, lending)
        return self.rows.further(asked) if asked else self.rows


@dataclass(frozen=True, slots=True)
class _Standing:
    """What is remembered of a caller at a collection: refused by policy text, or bound, or to be bound each time.

    Where rules read `relations` it is bound to the people around the caller.
    """

    speaking: Speaking
    crosses: bool
    refusal: str | None = None
    access: Access | None = None
    relations: frozenset[str] = frozenset()


class Callers:
    """Binds grants to callers and remembers the result, for one configuration.

    What is remembered stands under the principal object itself, so it can serve no other caller; a reload makes a new
    `Callers`. Rules that read the clock or the request are bound anew each time.
    """

    def __init__(self, config: Config, mask_key: bytes, former_keys: tuple[bytes, ...] = ()) -> None:
        self.config = config
        self._policy = config.policy
        self._mask_key = mask_key
        self._former_keys = former_keys
        self._standing = lru_cache(maxsize=_MOST_BOUND)(self._judged)
        self._known_roles = lru_cache(maxsize=_MOST_BOUND)(self._roles_of)
        self._staff = next((one for one in config.collections.values() if one.hierarchy is not None), None)
        self._related = Related[Access]()
        self._counted = (0, 0)

    def tally(self) -> tuple[int, int]:
        """How often what is remembered served, and how often it had to be made, since this was asked last."""
        about, before = self._standing.cache_info(), self._counted
        self._counted = about.hits, about.misses
        return max(0, about.hits - before[0]), max(0, about.misses - before[1])

    @property
    def policy(self) -> Policy:
        return self._policy

    def access(self, asking: Asking, collection: Collection, action: Action) -> Access:
        """Forbidden if no rule of the caller's roles has the action here: by roles and policy text alone."""
        standing = self._standing(asking.principal, collection.name, action)
        if standing.refusal is not None:
            raise Forbidden(standing.refusal, action=action, collection=collection.name)
        if standing.access is not None:
            return standing.access
        if standing.relations:
            return self._with_kin(standing, asking, collection, action)
        return self._bound(standing.speaking, asking.bindings(), collection, standing.crosses)

    def _with_kin(self, standing: _Standing, asking: Asking, collection: Collection, action: Action) -> Access:
        """KinWanted where the people around the caller are not known yet; Forbidden where they are too many."""
        self._require_kin(asking)
        asking = replace(asking, kin=asking.kin or NOBODY)
        kin = asking.kin or NOBODY
        if standing.relations & kin.overflowing:
            most = self.config.limits.max_subordinates
            told = f"more than {most} people are below you, and a rule of your roles needs each of them"
            raise Forbidden(told, action=action, collection=collection.name)
        if standing.speaking.depends_on_request:
            return self._bound(standing.speaking, asking.bindings(), collection, standing.crosses)
        key = (asking.principal, collection.name, action)
        known = self._related.find(key, kin)
        if known is None:
            known = self._bound(standing.speaking, asking.bindings(), collection, standing.crosses)
            self._related.keep(key, kin, known)
        return known

    def require_kin(self, asking: Asking, rules: Iterable[Rule]) -> None:
        """KinWanted where one of these rules reads the hierarchy, and the people around are not known yet."""
        if relations_in(rules):
            self._require_kin(asking)

    def _require_kin(self, asking: Asking) -> None:
        wanted = self._kin_plan(asking) if asking.kin is None else None
        if wanted is not None:
            raise KinWanted(wanted)

    def _kin_plan(self, asking: Asking) -> KinPlan | None:
        """How to find the people around the caller; None of who can't be one of them."""
        staff, who, limits = self._staff, asking.principal, self.config.limits
        if staff is None or staff.hierarchy is None:
            return None
        tenant = tenant_value(staff, asking)
        try:
            user = read_scalar(staff.kind_of(staff.hierarchy.user_id_field) or "string", who.subject)
        except ValueError:
            return None
        if staff.tenant_field is not None and tenant is None:
            return None
        return KinPlan(tenant, user, self._policy.relations, limits.max_subordinates, limits.hierarchy_cache)

    def judging(self, asking: Asking, collection: Collection) -> Mapping[RuleId, frozenset[FieldPath]]:
        """For each rule that speaks for the caller: the paths that its role is judged by."""
        return self._policy.judging(self._known_roles(asking.principal), collection.name)

    def has_own_check(self, rule_id: RuleId) -> bool:
        return self._policy.rules[rule_id].check is not None

    def crosses_tenants(self, asking: Asking) -> bool:
        return self._policy.is_cross_tenant(self._known_roles(asking.principal))

    def has_system_right(self, asking: Asking, right: str) -> bool:
        return self._policy.has_system_right(self._known_roles(asking.principal), right)

    def roles_of(self, asking: Asking) -> frozenset[str]:
        """The caller's own roles, as far as the policy knows them."""
        return self._known_roles(asking.principal)

    def crosses_with_right(self, asking: Asking, right: str) -> bool:
        """Whether a role of the caller's that names the system right is itself one that crosses tenants."""
        roles = (self._policy.roles[role] for role in self._known_roles(asking.principal))
        return any(role.cross_tenant and right in role.system for role in roles)

    def crossing_roles(self, asking: Asking) -> frozenset[str]:
        """The roles whose rules reach past the caller's tenant."""
        return self._policy.crossing(self._known_roles(asking.principal))

    def speaking(self, asking: Asking, collection: Collection, action: Action) -> Speaking:
        """The rules that speak for the caller, unbound: what policy text alone says."""
        return self._policy.speaking(self._known_roles(asking.principal), collection.name, action)

    def tenant_bound(self, asking: Asking, collection: Collection) -> Expression:
        """The rows of the caller's tenant; all, for one who crosses tenants."""
        return ALWAYS if self.crosses_tenants(asking) else self.own_tenant(asking, collection)

    def own_tenant(self, asking: Asking, collection: Collection) -> Expression:
        """The rows of the caller's own tenant, whether or not they cross tenants."""
        return _within(collection, asking.bindings())

    def _roles_of(self, principal: Principal) -> frozenset[str]:
        """Names that the policy does not know give nothing, and must not fill what is remembered."""
        return frozenset(role for role in principal.roles if role in self._policy.roles)

    def _judged(self, principal: Principal, name: str, action: Action) -> _Standing:
        roles = self._known_roles(principal)
        speaking = self._policy.speaking(roles, name, action)
        crosses = self._policy.is_cross_tenant(roles)
        collection = self.config.collections[name]
        if speaking.is_void:
            return _Standing(speaking, crosses, f"no rule of your roles allows {action} in {name}")
        if collection.tenant_field is not None and not crosses and principal.tenant is None:
            return _Standing(speaking, crosses, f"{name} belongs to tenants, and your credential names none")
        if speaking.depends_on_request or speaking.relations:
            return _Standing(speaking, crosses, relations=speaking.relations)
        # No rule of this plan reads the request or the clock, so an empty one serves.
        bindings = Asking(principal, _EPOCH, {}, "").bindings()
        return _Standing(
            speaking, crosses, access=replace(self._bound(speaking, bindings, collection, crosses), lasts=True)
        )

    def _bound(self, speaking: Speaking, bindings: Bindings, collection: Collection, crosses: bool) -> Access:
        crossing = self._policy.crossing(frozenset(bindings.roles)) if crosses else frozenset[str]()
        reach = speaking.reach(bindings, _within(collection, bindings), crossing)
        former = tuple(Lens(reach, key, reach.uniform_view(key)) for key in self._former_keys)
        lens = Lens(reach, self._mask_key, reach.uniform_view(self._mask_key), former)
        return Access(speaking, reach, lens, narrow({}, reach))


def _within(collection: Collection, bindings: Bindings) -> Expression:
    return bind(tenancy(collection), bindings)


def tenancy(collection: Collection) -> Expression:
    """The tenant filter, of no caller yet: built here for every plan, whatever the policy says."""
    if collection.tenant_field is None:
        return ALWAYS
    field = Path("resource", (collection.tenant_field,), collection.kind_of(collection.tenant_field))
    return Compare("==", field, Path("user", ("tenant_id",)))


def tenant_is(collection: Collection, tenant: object) -> Expression:
    """The rows of one tenant of a collection with tenants."""
    name = collection.tenant_field or ""
    return bind(Compare("==", Path("resource", (name,), collection.kind_of(name)), Value(tenant)), _NOBODY)


def require_paths(access: Access, collection: Collection, action: Action, query: Query) -> tuple[FieldPath, ...]:
    """The paths a request refers to. Forbidden, as sent, if one is hidden, masked or unknown: all told alike."""
    if not query.paths:
        return ()
    named = {path: asked_path(path) for path in query.paths}
    wanted = tuple(path for path in named.values() if path)
    refused = sorted(
        path
        for path, one in named.items()
        if not one or not collection.knows(path) or not access.speaking.lends((one,))
    )
    if refused or (wanted and not access.speaking.lends(wanted)):
        raise Forbidden(
            "unknown or not permitted field",
            action=action,
            collection=collection.name,
            fields=refused or sorted(query.paths),
        )
    return wanted


def tenant_value(collection: Collection, asking: Asking) -> Any:
    """The caller's tenant as the collection's type; None if it can't be of that type."""
    tenant = asking.principal.tenant
    return None if collection.tenant_field is None or tenant is None else _typed_tenant(collection, tenant)


@lru_cache(maxsize=_MOST_BOUND)
def _typed_tenant(collection: Collection, tenant: str) -> Any:
    try:
        return read_scalar(collection.kind_of(collection.tenant_field or "") or "any", tenant)
    except ValueError:
        return None
