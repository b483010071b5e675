"""Policy tests -> what came out, each fault with what was expected, what is so, and by which rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, assert_never
from uuid import UUID

from permission_mongo.config.cases import Attempt, Case, PolicyTests, Rows
from permission_mongo.config.model import Config
from permission_mongo.documents.differences import are_same
from permission_mongo.errors import Refusal
from permission_mongo.operations import CreateOne, UpdateOne
from permission_mongo.parsing.changes import change_of
from permission_mongo.parsing.documents import read_sent
from permission_mongo.parsing.ids import Fresh
from permission_mongo.plans import CreatePlan, UpdatePlan
from permission_mongo.rewrites import rewrite
from permission_mongo.schema.defaults import Fill
from permission_mongo.schema.validate import read_document
from permission_mongo.trials.bench import Bench, Judging
from permission_mongo.trials.coverage import Coverage
from permission_mongo.trials.sights import faults_of
from permission_mongo.values import Document, write_json


@dataclass(frozen=True, slots=True)
class Result:
    """One test that was run; without faults it passed."""

    case: Case
    faults: tuple[str, ...]


def run_tests(
    config: Config, coverage: Coverage | None = None, chosen: Callable[[Case], bool] = lambda case: True
) -> tuple[Result, ...]:
    """Every test that is `chosen`, in the order written."""
    tests = config.tests or PolicyTests()
    bench = Bench.of(config, tests, coverage)
    return tuple(Result(case, tuple(_faults(bench.at(case)))) for case in tests.cases if chosen(case))


def _faults(judging: Judging) -> Iterator[str]:
    expects = judging.case.expects
    match expects:
        case Rows():
            yield from _rows(judging, expects)
        case Attempt():
            yield from _attempt(judging, expects)
        case _:
            assert_never(expects)


# -- rows


def _rows(judging: Judging, expects: Rows) -> Iterator[str]:
    case = judging.case
    samples = judging.bench.tests.samples.get(case.collection, {})
    permitted = {name for name, sample in samples.items() if judging.permits(case.action, sample.document)}
    if permitted != expects.of.keys():
        yield f"expected {case.action} of: {_listed(expects.of)}; got: {_listed(permitted)}"
    for name in samples:
        if (name in expects.of) != (name in permitted):
            told = "is missing" if name in expects.of else "should not be there"
            yield _with_reasons(f"'{name}' {told}", judging, samples[name].document)
        elif name in permitted:
            yield from faults_of(judging, samples[name], expects.of[name])


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _with_reasons(told: str, judging: Judging, document: Document) -> str:
    action = judging.case.action
    reasons = judging.reasons(action, document)
    if action != "read" and not judging.sees(document):
        reasons += ["it can't be read:", *judging.reasons("read", document)]
    return "\n".join([told, *(f"  {reason}" for reason in reasons)])


# -- one thing tried


@dataclass(frozen=True, slots=True)
class _Came:
    """How it ended: the code of the refusal, or "allowed" with the document as it is then."""

    verdict: str
    told: str = ""
    document: Document | None = None


def _attempt(judging: Judging, expects: Attempt) -> Iterator[str]:
    came = _tried(judging, expects)
    if came.verdict != expects.verdict:
        fault = f"expected {expects.verdict}; got {came.verdict}{f': {came.told}' if came.told else ''}"
        document = came.document or _looked_at(judging, expects)
        yield fault if document is None else _with_reasons(fault, judging, document)
    elif came.document is not None:
        yield from _stored(came.document, expects)


def _stored(document: Document, expects: Attempt) -> Iterator[str]:
    for name, wanted in expects.stored.items():
        if name not in document or not are_same(document[name], wanted):
            got = _written(document[name]) if name in document else "no such field"
            yield f"'{name}' is stored otherwise: expected {_written(wanted)}; got {got}"


def _written(value: Any) -> str:
    return write_json(value).decode()


def _looked_at(judging: Judging, expects: Attempt) -> Document | None:
    """What the rules were asked of; of a create that was refused what it would have been, as far as it can be read."""
    if expects.document is None:
        return _sample(judging, expects)
    who, collection = judging.asking.principal, judging.collection
    read, _ = read_document(expects.document, collection, Fill(judging.case.now, who.subject, lambda: UUID(int=0)))
    stamps = {collection.tenant_field: who.tenant, collection.owner_field: who.subject}
    return {**{name: value for name, value in stamps.items() if name is not None}, **read}


def _sample(judging: Judging, expects: Attempt) -> Document | None:
    if expects.sample is None:
        return None
    return judging.bench.tests.samples[judging.case.collection][expects.sample].document


def _tried(judging: Judging, expects: Attempt) -> _Came:
    try:
        return _done(judging, expects, _sample(judging, expects))
    except Refusal as refusal:
        if expects.document is not None and (document := _looked_at(judging, expects)) is not None:
            judging.note("create", document)
        places = "; ".join(f"{one['field']}: {one['message']}" for one in refusal.details.get("errors", ()))
        fields = ", ".join(refusal.details.get("fields", ()))
        more = places or fields
        return _Came(refusal.code, f"{refusal.message}{f' ({more})' if more else ''}")


def _done(judging: Judging, expects: Attempt, sample: Document | None) -> _Came:
    action = judging.case.action
    if expects.document is not None:
        return _created(judging, expects.document)
    if sample is None:
        judging.access(action)
        if action != "create":
            judging.access("read")
        return _Came("allowed")
    if expects.change is not None:
        return _changed(judging, expects.change, sample)
    judging.access(action)  # what policy text alone refuses is told before the document is looked for
    if not judging.sees(sample):
        return _Came("not_found", "the document is not visible")
    if not judging.permits(action, sample):
        return _Came("forbidden", "no rule of the roles allows it")
    return _Came("allowed")


def _created(judging: Judging, sent: Any) -> _Came:
    operation = CreateOne(judging.collection, read_sent(dict(sent), judging.collection, Fresh(), "document"))
    plan = judging.bench.planner.plan(operation, judging.asking)
    assert isinstance(plan, CreatePlan)  # noqa: S101  (a CreateOne leads to nothing else)
    document = plan.drafts[0].document
    judging.note("create", document)
    return _Came("allowed", document=document)


def _changed(judging: Judging, change: Any, sample: Document) -> _Came:
    """As storage does it: the row by its rules first, then the change by one rule whole."""
    operation = UpdateOne(judging.collection, sample["_id"], change_of(change))
    plan = judging.bench.planner.plan(operation, judging.asking)
    assert isinstance(plan, UpdatePlan)  # noqa: S101  (an UpdateOne leads to nothing else)
    if not judging.sees(sample):
        return _Came("not_found", "the document is not visible")
    if not judging.permits("update", sample):
        return _Came("forbidden", "no rule of the roles allows changing this document")
    written = rewrite(plan.revision, sample)
    if written is None:
        return _Came("allowed", document=sample)
    kept = {name: value for name, value in sample.items() if name not in written.gone}
    return _Came("allowed", document={**kept, **written.fields})
