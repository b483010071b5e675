"""What one document shows to a principal, and what may be written in it, against what a policy test expects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from permission_mongo.config.cases import Expected, Sample
from permission_mongo.documents.fields import MASK_KINDS, MaskKind
from permission_mongo.documents.masks import REDACTED, masked
from permission_mongo.documents.paths import ALWAYS_SHOWN, Path, any_above, is_prefix, leaf_paths
from permission_mongo.documents.reveal import View
from permission_mongo.planning.revisions import Reviser
from permission_mongo.rewrites import writable_in
from permission_mongo.schema.model import Field
from permission_mongo.trials.bench import MASK_KEY, Judging
from permission_mongo.values import Document, write_json


def faults_of(judging: Judging, sample: Sample, expected: Expected) -> Iterator[str]:
    """Ask only of a document on which the action is permitted."""
    if expected.writable is not None:
        yield from _writable(judging, sample, expected.writable)
    if judging.case.action != "read" or expected == Expected():
        return
    document = sample.document
    access = judging.access("read")
    view, shown = access.reach.view(document, MASK_KEY), access.lens.show(document)
    if expected.fields is not None:
        raw = access.reach.raw_in(document)
        found = {path for path in leaf_paths(shown) if path not in ALWAYS_SHOWN and raw(path)}
        yield from _fields(sample, expected.fields, found)
    for path in sorted(expected.hidden):
        level = view.shown_at(path)
        below = sorted(one for one in leaf_paths(shown) if is_prefix(path, one))
        if level != "hidden" or below:
            yield f"'{sample.name}': expected '{_dotted(path)}' hidden; got it {_told(level, below)}"
    for path, wanted in expected.masks:
        yield from _mask(sample, path, wanted, view, shown)


def _fields(sample: Sample, wanted: frozenset[Path], found: set[Path]) -> Iterator[str]:
    own = set(leaf_paths(sample.document))
    for path in sorted(wanted):
        below = {leaf for leaf in own if is_prefix(path, leaf)}
        if not below:
            yield f"'{sample.name}': expected '{_dotted(path)}' shown; the document has no such field"
        elif below - found:
            yield f"'{sample.name}': expected '{_dotted(path)}' shown; got it hidden or masked"
    more = sorted(path for path in found if not any_above(path, wanted))
    if more:
        yield f"'{sample.name}': not expected, and shown: {', '.join(map(_dotted, more))}"


def _mask(sample: Sample, path: Path, wanted: Any, view: View, shown: Document) -> Iterator[str]:
    place, level = f"'{sample.name}': expected '{_dotted(path)}'", view.shown_at(path)
    got = _values(shown, path)
    kind = next((one for one in MASK_KINDS if one == wanted), None)
    if kind is None:
        if level in ("raw", "hidden") or got != (wanted if isinstance(wanted, list) else [wanted]):
            yield f"{place} masked as {_json(wanted)}; got {_json(got) if got else 'nothing'} ({level})"
    elif level != kind:
        yield f"{place} masked by '{kind}'; got it {_told(level, [])}"
    elif got != [_as_masked(value, kind) for value in _values(sample.document, path)]:
        yield f"{place} masked by '{kind}'; got {_json(got)}"


def _as_masked(value: Any, kind: MaskKind) -> Any:
    return REDACTED if isinstance(value, dict) else masked(value, kind, MASK_KEY)


def _values(value: Any, path: Path) -> list[Any]:
    """The values at a path, those in arrays each by itself."""
    if isinstance(value, list):
        return [one for element in value for one in _values(element, path)]
    if not path:
        return [value]
    return _values(value[path[0]], path[1:]) if isinstance(value, dict) and path[0] in value else []


# -- what may be written


def _writable(judging: Judging, sample: Sample, wanted: frozenset[Path]) -> Iterator[str]:
    planner = judging.bench.planner
    reviser = Reviser.of(judging.collection, judging.asking, planner.callers, planner.new_uuid)
    declared = frozenset(_leaves(judging.collection.fields.values(), ()))
    asked = declared | wanted
    found = writable_in(reviser.idle(), sample.document, asked)
    for path in sorted(wanted):
        refused = sorted(one for one in asked if is_prefix(path, one) and one not in found)
        if refused:
            told = ", ".join(map(_dotted, refused))
            yield f"'{sample.name}': expected '{_dotted(path)}' writable; got {told} refused"
    more = sorted(path for path in found if not any_above(path, wanted))
    if more:
        yield f"'{sample.name}': not expected, and writable: {', '.join(map(_dotted, more))}"


def _leaves(fields: Iterable[Field], above: Path) -> Iterator[Path]:
    for one in fields:
        inner = one
        while inner.items is not None:
            inner = inner.items
        if inner.properties:
            yield from _leaves(inner.properties.values(), (*above, one.name))
        else:
            yield (*above, one.name)


# -- words


def _told(level: str, below: list[Path]) -> str:
    if level == "hidden":
        return f"shown in part: {', '.join(map(_dotted, below))}" if below else "hidden"
    return "shown" if level == "raw" else f"masked by '{level}'"


def _dotted(path: Path) -> str:
    return ".".join(path)


def _json(value: Any) -> str:
    return write_json(value).decode()
