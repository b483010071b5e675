"""What a caller is told of itself, and what who administers a tenant is told of the policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from permission_mongo import __version__
from permission_mongo.config.policy import SYSTEM_RIGHTS
from permission_mongo.errors import Forbidden, InvalidRequest
from permission_mongo.operations import CheckPolicy, ComparePolicy, OfFiles, RunPolicyTests, WritePolicy
from permission_mongo.planning.abilities import abilities_of, fields_told, reach_or_none, shown_anywhere
from permission_mongo.planning.callers import Asking, Callers
from permission_mongo.planning.explained import unknown_roles
from permission_mongo.policy.grants import Reach
from permission_mongo.policy.nodes import ALWAYS
from permission_mongo.policy.rules import ACTIONS, Action
from permission_mongo.policy.tracing import Look
from permission_mongo.schema.model import Collection
from permission_mongo.service import CheckPlan, DiffPlan, Engine, FilesPlan, TellPlan, TrialPlan, WritePlan

_EPOCH: Final = datetime(1970, 1, 1)
_OWN_SERVER: Final = "set mongodb.uri in config.yaml, or MONGODB_URI, to the address of a replica set"


def plan_me(asking: Asking, callers: Callers, engine: Engine) -> TellPlan:
    who, own = asking.principal, callers.roles_of(asking)
    admin = callers.has_system_right(asking, "admin")
    told = {
        "sub": who.subject,
        "tenant": who.tenant,
        "namespace": engine.namespace,
        "namespaces": sorted(who.namespaces),
        "credential": {"kind": who.kind, "id": who.credential, "expires_at": _moment(who.expires)},
        "roles": sorted(own),
        "with_inherited": sorted(callers.policy.engine.roles_of(own)),
        "unknown_roles": unknown_roles(who.roles, own),
        "crosses_tenants": callers.crosses_tenants(asking),
        "system": [right for right in SYSTEM_RIGHTS if callers.has_system_right(asking, right)],
        "collections": dict(_collections(asking, callers)),
        "gateway": {"version": __version__, "engine": _engine_told(engine, admin=admin)},
    }
    return TellPlan(told)


def plan_policy(asking: Asking, callers: Callers) -> TellPlan:
    """Forbidden without the system right `admin`."""
    require_admin(asking, callers)
    written = callers.config.written
    files = {name: {"text": one.text, "sha256": one.sha256} for name, one in written.items()}
    policy = next((one.sha256 for name, one in written.items() if name.startswith("policy.")), None)
    return TellPlan({"digest": callers.config.digest, "files": files}, None if policy is None else f'"{policy}"')


def plan_files(operation: OfFiles, asking: Asking, callers: Callers) -> FilesPlan:
    """Checking, testing and comparing are for admins. Writing needs `policy_write` of a caller who crosses tenants, for
    it is every tenant's policy, and a configuration that lets it be written at all."""
    every = {name: one.text for name, one in callers.config.written.items()}
    # The tests are run where they are asked for: without the environment they may fail.
    written = {name: text for name, text in every.items() if not name.startswith("policy_tests.")}
    match operation:
        case CheckPolicy(files):
            require_admin(asking, callers)
            return CheckPlan(_with(written, files))
        case RunPolicyTests(files):
            require_admin(asking, callers)
            return TrialPlan(_with(every, files))
        case ComparePolicy(files, beside):
            require_admin(asking, callers)
            return DiffPlan(written, _with(written, files), beside)
        case WritePolicy(name, text, if_match):
            if not callers.crosses_with_right(asking, "policy_write"):
                raise Forbidden("the policy is written with the system right 'policy_write', across tenants")
            folder = callers.config.folder
            if not callers.config.console.write or folder is None:
                raise Forbidden("the policy is not written here: 'console.write' is not set")
            if name not in written:
                raise InvalidRequest(f"{name}: this gateway has no such file; see GET /_pm/policy")
            return WritePlan(folder, name, if_match, _with(written, {name: text}))


def _with(written: Mapping[str, str], files: Mapping[str, str]) -> dict[str, str]:
    """A file with another ending takes the place of its own kind."""
    kinds = {name.partition(".")[0] for name in files}
    return {**{name: text for name, text in written.items() if name.partition(".")[0] not in kinds}, **files}


def require_admin(asking: Asking, callers: Callers) -> None:
    if not callers.has_system_right(asking, "admin"):
        raise Forbidden("the policy is shown and checked with the system right 'admin'")


def _moment(posix: float | None) -> datetime | None:
    return None if posix is None else _EPOCH + timedelta(seconds=int(posix))


def _engine_told(engine: Engine, *, admin: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"name": "MongoDB", "version": engine.version, "embedded": engine.folder is not None}
    if engine.folder is not None:
        told |= {"for": "evaluation", "instead": _OWN_SERVER}
        told |= {"folder": engine.folder} if admin else {}
    return told


def _collections(asking: Asking, callers: Callers) -> Iterator[tuple[str, dict[str, Any]]]:
    """Those in which the caller may do something."""
    for name, collection in callers.config.collections.items():
        reaches = {
            one: reach for one in ACTIONS if (reach := usable_reach(collection, asking, callers, one)) is not None
        }
        if not reaches:
            continue
        abilities = abilities_of(collection, asking, callers)
        told = fields_told(abilities, shown_anywhere(abilities), Look(None, lambda path: False))
        partial = [one for one, reach in reaches.items() if not _is_whole(reach)]
        some = {**({"actions": partial} if partial else {}), **told.pop("in_some_rows", {})}
        yield name, {"actions": list(reaches), **told, **({"in_some_rows": some} if some else {})}


def usable_reach(collection: Collection, asking: Asking, callers: Callers, action: Action) -> Reach | None:
    """All but creating needs a right to read as well."""
    if action not in ("read", "create") and reach_or_none(collection, asking, callers, "read") is None:
        return None
    if action == "restore" and not collection.versioned:
        return None
    return reach_or_none(collection, asking, callers, action)


def _is_whole(reach: Reach) -> bool:
    return reach.rows in (ALWAYS, reach.within)
