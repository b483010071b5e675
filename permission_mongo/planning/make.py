"""The one door of the room: an operation and who asks -> its plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never
from uuid import UUID

from permission_mongo.auditing import ListAudit
from permission_mongo.operations import (
    Aggregate,
    CancelJob,
    Compare,
    CountMany,
    CreateMany,
    CreateOne,
    DeleteMany,
    DeleteOne,
    Describe,
    Explain,
    GetAsOf,
    GetJob,
    GetMany,
    GetOne,
    GetVersion,
    ListAsOf,
    ListDeleted,
    ListJobs,
    ListMany,
    ListVersions,
    Operation,
    PurgeOne,
    ReadAgain,
    Reading,
    RestoreOne,
    Service,
    SyncHierarchy,
    TellMatrix,
    TellMe,
    TellPolicy,
    Undo,
    UpdateMany,
    UpdateOne,
    Write,
)
from permission_mongo.planning.aggregates import plan_aggregate
from permission_mongo.planning.audit import plan_audit
from permission_mongo.planning.callers import Asking, Callers
from permission_mongo.planning.creates import plan_create_many, plan_create_one
from permission_mongo.planning.deletes import plan_delete, plan_delete_one, plan_purge, plan_undo
from permission_mongo.planning.describing import plan_describe
from permission_mongo.planning.explaining import plan_explain
from permission_mongo.planning.history import plan_past, plan_restore
from permission_mongo.planning.matrix import plan_matrix
from permission_mongo.planning.me import plan_me, plan_policy
from permission_mongo.planning.moments import plan_get_as_of, plan_list_as_of
from permission_mongo.planning.planned import Planned
from permission_mongo.planning.reads import (
    plan_count,
    plan_deleted,
    plan_get,
    plan_get_many,
    plan_list,
)
from permission_mongo.planning.service import plan_service
from permission_mongo.planning.updates import plan_update, plan_update_many
from permission_mongo.plans import Plan
from permission_mongo.query.cursors import CursorKey
from permission_mongo.service import Engine


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans for one configuration. `new_uuid` serves the schema's `uuid()` defaults.

    `since` says from when on each collection with versions has kept them.
    """

    callers: Callers
    cursors: CursorKey
    new_uuid: Callable[[], UUID]
    since: Mapping[str, datetime]
    engine: Engine = field(default_factory=Engine)
    planned: Planned = field(default_factory=Planned)

    def plan(self, operation: Operation | Service, asking: Asking) -> Plan:
        """The plan; a Refusal, before any query runs, where the operation is not permitted or makes no sense."""
        return self._write(operation, asking) if isinstance(operation, Write) else self._read(operation, asking)

    def _read(self, operation: Reading | Service, asking: Asking) -> Plan:
        match operation:
            case GetOne():
                return plan_get(operation, asking, self.callers)
            case ListMany():
                return plan_list(operation, asking, self.callers, self.cursors, self.planned)
            case Aggregate():
                return plan_aggregate(operation, asking, self.callers)
            case CountMany():
                return plan_count(operation, asking, self.callers)
            case GetMany():
                return plan_get_many(operation, asking, self.callers)
            case ListDeleted():
                return plan_deleted(operation, asking, self.callers, self.cursors)
            case GetAsOf():
                return plan_get_as_of(operation, asking, self.callers, self.since)
            case ListAsOf():
                return plan_list_as_of(operation, asking, self.callers, self.cursors, self.since)
            case ListVersions() | GetVersion() | Compare() | ReadAgain():
                return plan_past(operation, asking, self.callers)
            case GetJob() | CancelJob() | ListJobs() | SyncHierarchy():
                return plan_service(operation, asking, self.callers)
            case Explain():
                return plan_explain(operation, asking, self.callers)
            case TellMe():
                return plan_me(asking, self.callers, self.engine)
            case Describe():
                return plan_describe(asking, self.callers)
            case TellPolicy():
                return plan_policy(asking, self.callers)
            case TellMatrix():
                return plan_matrix(asking, self.callers)
            case ListAudit():
                return plan_audit(operation, asking, self.callers, self.cursors)
            case _:
                assert_never(operation)

    def _write(self, operation: Write, asking: Asking) -> Plan:
        match operation:
            case CreateOne():
                return plan_create_one(operation, asking, self.callers, self.new_uuid)
            case CreateMany():
                return plan_create_many(operation, asking, self.callers, self.new_uuid)
            case UpdateOne():
                return plan_update(operation, asking, self.callers, self.new_uuid)
            case UpdateMany():
                return plan_update_many(operation, asking, self.callers, self.new_uuid)
            case DeleteOne():
                return plan_delete_one(operation, asking, self.callers)
            case PurgeOne():
                return plan_purge(operation, asking, self.callers)
            case RestoreOne():
                return plan_restore(operation, asking, self.callers)
            case DeleteMany():
                return plan_delete(operation, asking, self.callers)
            case Undo():
                return plan_undo(operation, asking, self.callers)
            case _:
                assert_never(operation)
