"""The pipeline: an operation and who asks -> what is shown. The only composition of the rooms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from permission_mongo.apart import changes_apart, findings_apart, results_apart
from permission_mongo.audit import read_entry
from permission_mongo.auth.authenticate import Authenticator
from permission_mongo.blobs import Links, Sealing, Stored
from permission_mongo.config.model import Config, Logging
from permission_mongo.consulting import Consulting
from permission_mongo.counting import changes_counted
from permission_mongo.errors import DocumentNotFound, Forbidden, VersionNotFound
from permission_mongo.logs import RequestLog
from permission_mongo.metrics import Metrics
from permission_mongo.observations import Batched, Observation, Wrote
from permission_mongo.operations import GetMany, GetOne, ListMany, OfFiles, Operation, ReadAgain, Service, is_counted
from permission_mongo.outcomes import BatchOutcome, Deleted, Kept, Purged, Replayed
from permission_mongo.parsing.ids import Fresh
from permission_mongo.planning.callers import Asking
from permission_mongo.planning.linking import places_of, with_links
from permission_mongo.planning.make import Planner
from permission_mongo.planning.me import plan_files
from permission_mongo.planning.noting import noted_of
from permission_mongo.planning.showing import Shown, ShownAgain, ShownDocument, ShownTold, id_alone, show
from permission_mongo.planning.surveys import plan_survey
from permission_mongo.policy_files import in_turn, replace_file
from permission_mongo.principal import DEFAULT_NAMESPACE, Principal
from permission_mongo.rates import Rates
from permission_mongo.running import Running
from permission_mongo.service import CheckPlan, DiffPlan, TrialPlan, WritePlan
from permission_mongo.shares import Budget, Sizes
from permission_mongo.spans import Spans
from permission_mongo.standing import Standing
from permission_mongo.storage.reads import not_found
from permission_mongo.storage.store import Store
from permission_mongo.storage.trail import Trail


@dataclass(slots=True)
class InForce:
    """The one reference that a reload swaps, None until the first; and whether it is what the files say."""

    standing: Standing = field(default_factory=Standing)
    latest: Gateway | None = None


@dataclass(frozen=True, slots=True)
class Gateway:
    """One loaded configuration at work in one database. A request stays with the one it met; the next takes the
    `current` one. `beside` are those of the other namespaces.
    """

    config: Config
    authenticator: Authenticator
    planner: Planner
    store: Store
    running: Running
    metrics: Metrics
    fresh: Fresh
    trail: Trail
    clock: Callable[[], datetime]
    in_force: InForce = field(default_factory=InForce)
    beside: Mapping[str, Gateway] = field(default_factory=dict)
    rates: Rates = field(default_factory=Rates)  # one for all namespaces, and for what a reload puts in its place
    lines: RequestLog = field(default_factory=lambda: RequestLog(Logging()))
    spans: Spans | None = None
    budget: Budget = field(default_factory=Budget)  # of the process, as the rates
    sizes: Sizes = field(default_factory=Sizes)  # of the rows of this namespace
    links: Links = field(default_factory=lambda: Links(Sealing(bytes(32)), DEFAULT_NAMESPACE, 0))

    def within(self, namespace: str, principal: Principal) -> Gateway:
        """That of one of the caller's namespaces. Forbidden alike for another's and for one that there is not."""
        found = self if namespace == DEFAULT_NAMESPACE else self.beside.get(namespace)
        if found is None or namespace not in principal.namespaces:
            raise Forbidden("no such namespace, or not yours")
        return found

    def put_in_force(self) -> None:
        """The swap: from now on this one is the `current` one, and so in each namespace."""
        for one in (*self.beside.values(), self):
            one.in_force.latest = one

    def end(self) -> None:
        """It was told to end, and answers what it was asked already: long work stops where it can be gone on with."""
        for one in (*self.beside.values(), self):
            one.running.end()

    @property
    def current(self) -> Gateway:
        """This one, or what a reload put in its place."""
        return self.in_force.latest or self

    @property
    def consulting(self) -> Consulting:
        return self.running.consulting

    def succeeded_by(self, config: Config, authenticator: Authenticator, planner: Planner) -> Gateway:
        """The gateway of another configuration on the same store, with the jobs of this one."""
        consulting = replace(self.consulting, config=config, planner=planner)
        running = replace(self.running, config=config, authenticator=authenticator, consulting=consulting)
        links = replace(self.links, seconds=config.blobs.url_ttl)
        return replace(self, config=config, authenticator=authenticator, planner=planner, running=running, links=links)

    async def answer(self, operation: Operation | Service | OfFiles, asking: Asking, *, waits: bool = True) -> Shown:
        """What the caller is shown, or a Refusal. Not `waits`: what takes long may go on alone."""
        shown = await self._answer(operation, asking, waits=waits)
        if not isinstance(operation, Service | OfFiles):
            self._observe_writes(operation, shown)
            if isinstance(shown, Purged) and operation.collection.blobs:
                await self.store.sweep_document(operation.collection.name, shown.id)
        if self.config.audit.enabled and self.config.audit.log_reads and not isinstance(operation, OfFiles):
            self._note_read(operation, asking, shown)
        return shown

    async def _answer(self, operation: Operation | Service | OfFiles, asking: Asking, *, waits: bool = True) -> Shown:
        if isinstance(operation, OfFiles):
            return await self._of_files(operation, asking)
        plan, outcome = await self.running.run(operation, asking, waits=waits)
        if isinstance(outcome, Replayed) and not isinstance(operation, Service):
            return await self._again(outcome.kept, operation, replace(asking, once=None))
        shown = show(plan, outcome, self.planner.cursors, asking.posix())
        asking.spent[:] = plan, outcome, shown
        if not (isinstance(operation, GetOne | GetMany | ListMany) and operation.presign):
            return shown
        places = places_of(plan, outcome, operation.collection.blobs)
        stored = await self.store.find_bytes(operation.collection.name, places)
        return with_links(shown, stored, lambda one: self.links.url(one, asking.base, asking.posix()))

    async def blob_of(self, operation: GetOne, asking: Asking) -> Stored:
        """The blob of the operation's one field. DocumentNotFound alike where there is none, or none to be seen."""
        plan, outcome = await self.running.run(operation, asking)
        places = places_of(plan, outcome, operation.fields or ())
        found = await self.store.find_bytes(operation.collection.name, places)
        if not found:
            raise not_found(operation.collection.name)
        if self.config.audit.enabled and self.config.audit.log_reads:
            self._note_read(operation, asking, show(plan, outcome, self.planner.cursors, asking.posix()))
        return next(iter(found.values()))

    def presigned(self, token: str) -> tuple[Gateway, Stored] | None:
        """What a token that the gateway gave is good for, in whichever namespace; None where it is not, or no more."""
        opened = self.links.sealing.open(token, self.clock().replace(tzinfo=UTC).timestamp())
        if opened is None:
            return None
        namespace, stored = opened
        found = self if namespace == DEFAULT_NAMESPACE else self.beside.get(namespace)
        return None if found is None else (found, stored)

    async def _of_files(self, operation: OfFiles, asking: Asking) -> ShownTold:
        """What is asked of the policy's files, and of no document."""
        match plan_files(operation, asking, self.planner.callers):
            case CheckPlan(texts):
                return ShownTold(await findings_apart(texts))
            case TrialPlan(texts):
                return ShownTold(await results_apart(texts))
            case DiffPlan(loaded, texts, beside) as diff:
                if not is_counted(operation):
                    return ShownTold(await changes_apart(loaded, texts, beside))
                survey = plan_survey(asking, self.planner.callers)
                return ShownTold(await changes_counted(diff, survey, self.config, asking.actor(), self.store))
            case WritePlan(folder, name, if_match, texts):
                if self.config.audit.enabled:
                    await self.store.note_policy(asking.actor(), name)
                sha256 = await in_turn(lambda: replace_file(folder, name, if_match, texts))
                return ShownTold({"file": name, "sha256": sha256}, f'"{sha256}"')

    async def _again(self, kept: Kept, operation: Operation, asking: Asking) -> ShownAgain:
        """An earlier answer. No document is kept of it: what was written is read by the rules of today."""
        if isinstance(kept, BatchOutcome | Deleted | Purged):
            return ShownAgain(kept)
        try:
            reading = ReadAgain(operation.collection, kept.id, kept.version, kept.created)
            shown = await self._answer(reading, asking)
        except (Forbidden, DocumentNotFound, VersionNotFound):
            shown = id_alone(kept.id, created=kept.created)
        assert isinstance(shown, ShownDocument)  # noqa: S101  (a ReadAgain leads to nothing else)
        return ShownAgain(shown)

    def _note_read(self, operation: Operation | Service, asking: Asking, shown: Shown) -> None:
        noted = noted_of(operation, shown)
        if noted is not None:
            what = (noted.action, noted.collection, noted.ids, noted.count, noted.paths)
            self.trail.add(read_entry(asking.actor(), *what))

    def observe(self, observation: Observation) -> None:
        self.metrics.observe(observation)

    def _observe_writes(self, operation: Operation, shown: Shown) -> None:
        if isinstance(shown, BatchOutcome):
            self.observe(_batched(shown))
        match shown:
            case BatchOutcome(is_job=True):
                return  # observed chunk by chunk, where it was done
            case BatchOutcome(verb, dry_run=False):
                self.observe(Wrote(operation.collection.name, verb, shown.count))
            case Deleted():
                self.observe(Wrote(operation.collection.name, "deleted", 1))
            case Purged():
                self.observe(Wrote(operation.collection.name, "purged", 1))
            case ShownDocument(updated=True):
                self.observe(Wrote(operation.collection.name, "updated", 1))
            case ShownDocument(created=True):
                self.observe(Wrote(operation.collection.name, "created", 1))
            case _:
                return


def _batched(outcome: BatchOutcome) -> Batched:
    failed = len(outcome.failed) + outcome.unlisted
    missing = len(outcome.missing)
    kind = "dry_run" if outcome.dry_run else "partial" if outcome.is_partial else "done"
    return Batched(outcome.verb, kind, outcome.met + missing + failed, outcome.count, missing, failed)
