"""Who may ask the audit, for whose entries, and what of an entry they are shown."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from bson import encode
from bson.objectid import ObjectId

from permission_mongo.auditing import AuditPage, AuditPlan, ListAudit, Readable, Sight
from permission_mongo.errors import Forbidden, InvalidRequest
from permission_mongo.planning.callers import Asking, Callers
from permission_mongo.policy.nodes import ALWAYS
from permission_mongo.policy.rules import Rule
from permission_mongo.query.cursors import CursorKey
from permission_mongo.schema.model import Collection
from permission_mongo.values import CODEC, Document, MongoFilter

RIGHT: Final = "audit"
# An entry's id is made behind the moment that it tells, by less than this; clocks differ by less than the first.
_EARLIER: Final = timedelta(minutes=5)
_LATER: Final = timedelta(days=1)
_FIRST, _LAST = datetime(1970, 1, 2), datetime(2100, 1, 1)  # what an ObjectId's moment can be
_WHO: Final = {"subject": "user_id", "tenant": "tenant_id", "credential": "credential", "roles": "roles"}
# Told as they are stored. An entry's own id is not: it counts what other tenants did in between.
_TOLD: Final = ("at", "action", "collection", "ids", "count", "version", "batch", "reason", "code", "request_id")


def plan_audit(operation: ListAudit, asking: Asking, callers: Callers, cursors: CursorKey) -> AuditPlan:
    """Forbidden without the system right; of the caller's tenant alone, unless the role that has it crosses tenants."""
    if not callers.has_system_right(asking, RIGHT):
        raise Forbidden(f"none of your roles has the system right '{RIGHT}'")
    crosses = callers.crosses_with_right(asking, RIGHT)
    match = _match(operation)
    if not crosses:
        match = {"tenant_id": {"$eq": asking.principal.tenant}, **match}
    question = _question(match, asking)
    after = None if operation.cursor is None else cursors.open(operation.cursor, question, asking.posix())
    if after is not None and not isinstance(after, ObjectId):
        raise InvalidRequest("the cursor is not valid here; begin again without one")
    sight = Sight(asking.principal.tenant, *_readable(asking, callers, crosses=crosses))
    return AuditPlan(match, operation.limit, after, sight, question, callers.config.limits.max_result_bytes)


def _match(operation: ListAudit) -> MongoFilter:
    match: MongoFilter = {name: {"$eq": value} for name, value in operation.asked}
    if operation.id is not None:
        match["ids"] = {"$eq": operation.id}
    if operation.kind is not None:
        match["kind"] = {"$eq": None if operation.kind == "write" else operation.kind}
    times: Document = {}
    ids: Document = {}
    if operation.since is not None:
        times["$gte"], ids["$gte"] = operation.since, _id_of(operation.since, -_EARLIER)
    if operation.until is not None:
        times["$lt"], ids["$lt"] = operation.until, _id_of(operation.until, _LATER)
    # The bounds of the ids serve the index; what is asked is the moment.
    return {**match, "at": times, "_id": ids} if times else match


def _id_of(moment: datetime, by: timedelta) -> ObjectId:
    return ObjectId.from_datetime(min(max(moment, _FIRST), _LAST) + by)


def _question(match: MongoFilter, asking: Asking) -> tuple[object, ...]:
    who = asking.principal
    return ("audit", encode({"f": match}, codec_options=CODEC), who.kind, who.tenant, who.subject)


def _readable(asking: Asking, callers: Callers, *, crosses: bool) -> tuple[dict[str, Readable], dict[str, Readable]]:
    own: dict[str, Readable] = {}
    others: dict[str, Readable] = {}
    crossing = callers.crossing_roles(asking) if crosses else frozenset[str]()
    for collection in callers.config.collections.values():
        speaking = callers.speaking(asking, collection, "read")
        if speaking.is_void:
            continue
        hidden = frozenset(path for rule in speaking.hides for path in rule.hidden)
        own[collection.name] = _of(speaking.allows, hidden)
        if crosses:
            others[collection.name] = _of(_reaching(speaking.allows, collection, crossing), hidden)
    return own, others


def _reaching(rules: Iterable[Rule], collection: Collection, crossing: frozenset[str]) -> list[Rule]:
    """The rules that reach rows of other tenants."""
    return [rule for rule in rules if collection.tenant_field is None or rule.role in crossing]


def _of(rules: Iterable[Rule], hidden: frozenset[Any]) -> Readable:
    reading = tuple(rules)
    always = tuple(rule.fields for rule in reading if rule.when == ALWAYS)
    return Readable(tuple(rule.fields for rule in reading), always, hidden)


# -- shown


def shown_entries(plan: AuditPlan, page: AuditPage) -> list[Document]:
    return [_shown(entry, plan.sight) for entry in page.entries]


def _shown(entry: Document, sight: Sight) -> Document:
    """What an entry tells its reader: of fields only those that they read in every row they see."""
    shown: Document = {"kind": entry.get("kind", "write")}
    shown |= {name: entry.get(stored) for name, stored in _WHO.items()}
    shown |= {name: entry[name] for name in _TOLD if name in entry}
    if isinstance(entry.get("paths"), list):
        readable = sight.readable(entry.get("tenant_id"), entry.get("collection"))
        shown["paths"] = readable.of(path for path in entry["paths"] if isinstance(path, str))
    return shown
