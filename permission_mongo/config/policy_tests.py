"""policy_tests.yml: named principals, named documents, what is expected of the policy; each mistake with its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from bson.objectid import ObjectId

from permission_mongo.config.cases import VERDICTS, Attempt, Case, Expected, PolicyTests, Rows, Sample, Verdict
from permission_mongo.config.section import Section, plain, suggestion
from permission_mongo.config.yaml import Map, Mark, Scalar
from permission_mongo.config.yaml import Sequence as List
from permission_mongo.documents.paths import Path, canonical
from permission_mongo.policy.construction import RELATIONS
from permission_mongo.policy.rules import ACTIONS, Action, Role
from permission_mongo.principal import Principal
from permission_mongo.schema.model import Collection
from permission_mongo.schema.validate import read_value
from permission_mongo.values import Document, read_date, read_scalar

# How the sets of the hierarchy are called here, in the order of their names in rules.
_SETS: Final = dict(zip(("subordinates", "direct_reports", "ancestors"), RELATIONS, strict=True))
_NOW: Final = datetime(2026, 1, 1)


def read_policy_tests(root: Section, collections: Mapping[str, Collection], roles: Mapping[str, Role]) -> PolicyTests:
    """What cannot be read is left out and named among the findings of `root`."""
    root.text("version")
    now = _moment(root, _NOW)
    principals = {name: _principal(name, one, roles) for name, one in root.section("principals").sections()}
    samples = _samples(root.section("documents"), collections)
    reader = _CaseReader(collections, principals, samples, now)
    cases = [case for one in root.list_of_sections("tests") if (case := reader.case(one)) is not None]
    root.done()
    return PolicyTests(principals, samples, tuple(cases), now)


def _moment(section: Section, default: datetime) -> datetime:
    text = section.optional_text("now")
    if text is None:
        return default
    try:
        return read_date(text)
    except ValueError as error:
        section.wrong("now", f"'now' expects {error}")
        return default


def _principal(name: str, section: Section, roles: Mapping[str, Role]) -> Principal:
    for role, mark in section.texts("roles"):
        if role not in roles:
            section.findings.append(mark.finding(f"unknown role '{role}'{suggestion(role, roles)}"))
    claims = _object(section, "claims")
    for key, relation in _SETS.items():
        if section.has(key):
            claims[relation] = [text for text, _ in section.texts(key)]
    found = Principal(
        section.text("sub", name),
        section.name_or_null("tenant", None),
        frozenset(role for role, _ in section.texts("roles")),
        claims,
        "token",
    )
    section.done()
    return found


def _object(section: Section, key: str) -> dict[str, Any]:
    node = section.raw(key)
    if node is None:
        return {}
    if not isinstance(node, Map):
        section.wrong(key, f"'{key}' expects keys and values")
        return {}
    return dict(plain(node))


# -- documents


def _samples(section: Section, collections: Mapping[str, Collection]) -> dict[str, dict[str, Sample]]:
    found: dict[str, dict[str, Sample]] = {}
    for name, one in section.sections():
        if name not in collections:
            mark = section.node.keys[name]
            section.findings.append(mark.finding(f"unknown collection '{name}'{suggestion(name, collections)}"))
            continue
        found[name] = {called: _sample(called, inner, collections[name]) for called, inner in one.sections()}
        _require_apart(found[name].values(), one)
    return found


def _sample(name: str, section: Section, collection: Collection) -> Sample:
    document: Document = {"_id": _id_of(name, section, collection)}
    if collection.versioned:
        document["_version"] = 1
    for key, node in section.node.entries.items():
        if key == "_id":
            continue
        if not collection.knows(key) or "." in key:
            near = suggestion(key, collection.fields)
            section.findings.append(section.node.keys[key].finding(f"'{collection.name}' has no field '{key}'{near}"))
            continue
        document[key], wrong = read_value(plain(node), collection.fields.get(key), collection, key)
        section.findings += [node.mark.finding(f"'{error.field}': {error.message}") for error in wrong]
    return Sample(name, document)


def _id_of(name: str, section: Section, collection: Collection) -> Any:
    """The document's own `_id`, else its name read as one; of a name that is none an object id is made."""
    node = section.node.entries.get("_id")
    try:
        return read_scalar(collection.id_type, name if node is None else plain(node))
    except ValueError as error:
        if node is None and collection.id_type == "objectId":
            return ObjectId(sha256(name.encode()).digest()[:12])
        mark = section.node.mark if node is None else node.mark
        section.findings.append(mark.finding(f"the id of '{name}': expected {error}; write it as `_id`"))
        return None


def _require_apart(samples: Iterable[Sample], section: Section) -> None:
    known: dict[Any, str] = {}
    for sample in samples:
        id_ = sample.document["_id"]
        if id_ is not None and id_ in known:
            mark = section.node.keys[sample.name]
            section.findings.append(mark.finding(f"'{sample.name}' has the `_id` of '{known[id_]}'"))
        known[id_] = sample.name


# -- tests


class _CaseReader:
    def __init__(
        self,
        collections: Mapping[str, Collection],
        principals: Mapping[str, Principal],
        samples: Mapping[str, Mapping[str, Sample]],
        now: datetime,
    ) -> None:
        self._collections = collections
        self._principals = principals
        self._samples = samples
        self._now = now

    def case(self, section: Section) -> Case | None:
        """None where a part is wrong without which the rest can't be read."""
        found = len(section.findings)
        principal = self._named(section, "principal", self._principals)
        action = self._action(section)
        name = self._named(section, "collection", self._collections)
        request = _object(section, "request")
        for key in set(request) - {"ip", "method"}:
            section.wrong("request", f"unknown key '{key}'; a request has: ip, method")
        now = _moment(section, self._now)
        title = section.text("name")
        expects = None if name is None or action is None else self._expects(section, action, self._collections[name])
        section.done(["ids", "expect", "id", "change", "document", "stored"])
        if principal is None or action is None or name is None or expects is None or len(section.findings) > found:
            return None
        about = f" {expects.sample}" if isinstance(expects, Attempt) and expects.sample else ""
        return Case(
            title or f"{principal} {action} {name}{about}",
            section.node.mark,
            principal,
            action,
            name,
            expects,
            now,
            {"ip": "127.0.0.1", "method": _METHODS[action], **request},
        )

    def _named(self, section: Section, key: str, known: Mapping[str, Any]) -> str | None:
        if not section.has(key):
            section.findings.append(section.node.mark.finding(f"a test names its '{key}'"))
        text = section.optional_text(key)
        if text is not None and text not in known:
            names = suggestion(text, known) or (f"; known: {', '.join(known)}" if len(known) <= 20 else "")
            section.wrong(key, f"unknown {key} '{text}'{names}")
            return None
        return text

    def _action(self, section: Section) -> Action | None:
        text = self._named(section, "action", dict.fromkeys(ACTIONS))
        return next((action for action in ACTIONS if action == text), None)

    def _expects(self, section: Section, action: Action, collection: Collection) -> Rows | Attempt | None:
        if section.has("ids") == section.has("expect"):
            message = "a test says either `ids` (on which documents) or `expect` (allowed, or how it is refused)"
            section.findings.append(section.node.mark.finding(message))
            return None
        return self._rows(section, action, collection) if section.has("ids") else self._attempt(section, collection)

    def _rows(self, section: Section, action: Action, collection: Collection) -> Rows:
        for key in ("id", "change", "document", "stored"):
            if section.has(key):
                section.findings.append(section.node.keys[key].finding(f"'{key}' stands beside `expect`, not `ids`"))
        if action == "create":
            section.wrong("ids", "a create has no `ids`; give it a `document` and say what to `expect`")
        node = section.raw("ids")
        if isinstance(node, Map):
            inside = section.section("ids")
            of = {name: self._expected(inside, name, action, collection) for name in node.entries}
            marks = dict(node.keys)
        else:
            listed = [] if isinstance(node, List) and not node.items else section.texts("ids")
            of, marks = {name: Expected() for name, _ in listed}, dict(listed)
        for name, mark in marks.items():
            self._require_sample(section, name, mark, collection)
        return Rows(of)

    def _require_sample(self, section: Section, name: str, mark: Mark, collection: Collection) -> None:
        known = self._samples.get(collection.name, {})
        if name not in known:
            message = f"no document of '{collection.name}' is called '{name}'{suggestion(name, known)}"
            section.findings.append(mark.finding(message))

    def _expected(self, inside: Section, name: str, action: Action, collection: Collection) -> Expected:
        node = inside.raw(name)
        if isinstance(node, Scalar) and node.value is None:
            return Expected()
        section = inside.section(name)
        expected = Expected(
            _paths(section, "fields", collection) if section.has("fields") else None,
            _paths(section, "hidden", collection),
            tuple((path, plain(node)) for path, node in _masks(section, collection)),
            _paths(section, "writable", collection) if section.has("writable") else None,
        )
        if action != "update" and expected.writable is not None:
            section.wrong("writable", "'writable' is asked of the action update")
        if action != "read" and expected != Expected(writable=expected.writable):
            section.findings.append(section.node.mark.finding("what is shown is asked of the action read"))
        section.done()
        return expected

    def _attempt(self, section: Section, collection: Collection) -> Attempt:
        action = section.text("action")
        text = section.choice("expect", "allowed", VERDICTS)
        verdict: Verdict = next((one for one in VERDICTS if one == text), "allowed")
        sample = section.optional_text("id")
        if sample is not None:
            self._require_sample(section, sample, section.mark("id"), collection)
        self._require_fit(section, action, sample)
        change = _object(section, "change") if section.has("change") else None
        document = _object(section, "document") if section.has("document") else None
        if section.has("stored") and (verdict != "allowed" or (change is None and document is None)):
            section.wrong("stored", "'stored' is asked of a create or a change that is allowed")
        return Attempt(verdict, sample, change, document, self._stored(section, collection))

    def _require_fit(self, section: Section, action: str, sample: str | None) -> None:
        if section.has("document") and action != "create":
            section.wrong("document", "'document' is for the action create")
        if section.has("change") and (action != "update" or sample is None):
            section.wrong("change", "'change' is for the action update of the document `id`")
        if action == "create" and sample is not None:
            section.wrong("id", "a create names no `id`; its `document` may have an `_id`")

    def _stored(self, section: Section, collection: Collection) -> Mapping[str, Any]:
        stored: dict[str, Any] = {}
        for name, value in _object(section, "stored").items():
            if not collection.knows(name) or "." in name:
                near = suggestion(name, collection.fields)
                section.wrong("stored", f"'{collection.name}' has no field '{name}'{near}")
                continue
            stored[name], wrong = read_value(value, collection.fields.get(name), collection, name)
            for error in wrong:
                section.wrong("stored", f"'{error.field}': {error.message}")
        return stored


_METHODS: Final[Mapping[Action, str]] = {
    "create": "POST",
    "read": "GET",
    "update": "PATCH",
    "delete": "DELETE",
    "restore": "POST",
    "aggregate": "POST",
    "purge": "POST",
}


def _paths(section: Section, key: str, collection: Collection) -> frozenset[Path]:
    node = section.raw(key)
    if isinstance(node, List) and not node.items:
        return frozenset()
    found = section.texts(key)
    for text, mark in found:
        _require_known(section, text, mark, collection)
    return frozenset(canonical(text) for text, _ in found)


def _require_known(section: Section, text: str, mark: Mark, collection: Collection) -> None:
    if not collection.knows(text) or canonical(text) != tuple(text.split(".")):
        near = suggestion(text, collection.fields)
        section.findings.append(mark.finding(f"'{collection.name}' has no field '{text}'{near}"))


def _masks(section: Section, collection: Collection) -> list[tuple[Path, Any]]:
    inside = section.section("masks")
    for name, mark in inside.node.keys.items():
        _require_known(inside, name, mark, collection)
    return [(canonical(name), node) for name, node in inside.node.entries.items()]
