"""A caller at a collection: the grants that speak, bound to the caller, within the caller's tenant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from permission_mongo.config.model import Config
from permission_mongo.documents.paths import Path as FieldPath
from permission_mongo.documents.paths import asked_path
from permission_mongo.errors import Forbidden
from permission_mongo.plans import Actor, Once
from permission_mongo.policy.binding import Bindings, bind
from permission_mongo.policy.grants import Lens, Reach, Speaking
from permission_mongo.policy.guard import Guarded, narrow
from permission_mongo.policy.nodes import ALWAYS, Compare, Expression, Path, Value
from permission_mongo.policy.rules import Action, RuleId
from permission_mongo.principal import Principal
from permission_mongo.query.filters import Query
from permission_mongo.schema.model import Collection
from permission_mongo.values import MongoFilter, read_scalar

_MOST_BOUND: Final = 8192
_EPOCH: Final = datetime(1970, 1, 1)
_NOBODY: Final = Bindings("", None, (), {}, {}, _EPOCH)


@dataclass(frozen=True, slots=True)
class Asking:
    """One request: who, when, and what rules may read of the request itself; `once` of a write with a key."""

    principal: Principal
    now: datetime
    request: Mapping[str, Any]
    request_id: str
    once: Once | None = None

    def actor(self) -> Actor:
        who = self.principal
        roles = tuple(sorted(who.roles))
        return Actor(who.subject, who.tenant, who.credential, roles, self.now, self.request_id, self.once)

    def posix(self) -> float:
        """The moment in seconds since 1970."""
        return (self.now - _EPOCH).total_seconds()

    def bindings(self) -> Bindings:
        who = self.principal
        return Bindings(who.subject, who.tenant, tuple(who.roles), who.claims, self.request, self.now)


@dataclass(frozen=True, slots=True)
class Access:
    """What one caller may do by one action in one collection."""

    speaking: Speaking
    reach: Reach
    lens: Lens
    rows: Guarded

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
    """What is remembered of a caller at a collection: refused by policy text, or bound, or to be bound each time."""

    speaking: Speaking
    crosses: bool
    refusal: str | None = None
    access: Access | None = None


class Callers:
    """Binds grants to callers and remembers the result, for one configuration.

    What is remembered stands under the principal object itself, so it can serve no other caller; a reload makes a new
    `Callers`. Rules that read the clock or the request are bound anew each time.
    """

    def __init__(self, config: Config, mask_key: bytes) -> None:
        self.config = config
        self._policy = config.policy
        self._mask_key = mask_key
        self._standing = lru_cache(maxsize=_MOST_BOUND)(self._judged)
        self._known_roles = lru_cache(maxsize=_MOST_BOUND)(self._roles_of)

    def access(self, asking: Asking, collection: Collection, action: Action) -> Access:
        """Forbidden if no rule of the caller's roles has the action here: by roles and policy text alone."""
        standing = self._standing(asking.principal, collection.name, action)
        if standing.refusal is not None:
            raise Forbidden(standing.refusal, action=action, collection=collection.name)
        if standing.access is not None:
            return standing.access
        return self._bound(standing.speaking, asking.bindings(), collection, standing.crosses)

    def judging(self, asking: Asking, collection: Collection) -> Mapping[RuleId, frozenset[FieldPath]]:
        """For each rule that speaks for the caller: the paths that its role is judged by."""
        return self._policy.judging(self._known_roles(asking.principal), collection.name)

    def has_own_check(self, rule_id: RuleId) -> bool:
        return self._policy.rules[rule_id].check is not None

    def crosses_tenants(self, asking: Asking) -> bool:
        return self._policy.is_cross_tenant(self._known_roles(asking.principal))

    def has_system_right(self, asking: Asking, right: str) -> bool:
        return self._policy.has_system_right(self._known_roles(asking.principal), right)

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
        return ALWAYS if self.crosses_tenants(asking) else _within(collection, asking.bindings())

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
        if speaking.depends_on_request:
            return _Standing(speaking, crosses)
        # No rule of this plan reads the request or the clock, so an empty one serves.
        bindings = Asking(principal, _EPOCH, {}, "").bindings()
        return _Standing(speaking, crosses, access=self._bound(speaking, bindings, collection, crosses))

    def _bound(self, speaking: Speaking, bindings: Bindings, collection: Collection, crosses: bool) -> Access:
        crossing = self._policy.crossing(frozenset(bindings.roles)) if crosses else frozenset[str]()
        reach = speaking.reach(bindings, _within(collection, bindings), crossing)
        lens = Lens(reach, self._mask_key, reach.uniform_view(self._mask_key))
        return Access(speaking, reach, lens, narrow({}, reach))


def _within(collection: Collection, bindings: Bindings) -> Expression:
    """The tenant filter: built here for every plan, whatever the policy says."""
    if collection.tenant_field is None:
        return ALWAYS
    field = Path("resource", (collection.tenant_field,), collection.kind_of(collection.tenant_field))
    return bind(Compare("==", field, Path("user", ("tenant_id",))), bindings)


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
