"""hooks.yml: what is asked and changed before writes, and who is told of them afterwards."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from permission_mongo.config.receivers import OF_AUDIT, ReceiverReader, fault_of_path
from permission_mongo.config.section import Section, plain, suggestion
from permission_mongo.config.yaml import Scalar
from permission_mongo.documents.paths import Path as FieldPath
from permission_mongo.documents.paths import canonical
from permission_mongo.hooks import (
    EVENTS,
    NEW,
    OLD,
    Call,
    Drawn,
    Event,
    Given,
    Hooks,
    Receiver,
    SetField,
    Step,
    Transform,
    Validate,
    ValidateRef,
)
from permission_mongo.policy.binding import typed
from permission_mongo.policy.construction import RELATIONS
from permission_mongo.policy.nodes import ALWAYS, UNKNOWN, Compare, Expression, Path, RuleError, paths_of
from permission_mongo.policy.parser import Documents, parse
from permission_mongo.policy.rules import Rule
from permission_mongo.schema.model import RESERVED_FIELDS, Collection
from permission_mongo.schema.validate import read_value, unfit_names
from permission_mongo.schema.wording import WORDINGS

ACTIONS: Final = ("set_field", "validate", "validate_ref", "transform", "http")
_SEQUENCE: Final = re.compile(r"\$auto\.sequence\.([A-Za-z_][A-Za-z0-9_]{0,63})")
# What a condition may read, by the write it stands before: the document as it will be, and as it is stored.
_DOCUMENTS: Final[Mapping[Event, Documents]] = {
    "create": dict.fromkeys(("resource", "new", "$new"), (NEW,)),
    "update": {**dict.fromkeys(("resource", "new", "$new"), (NEW,)), "old": (OLD,), "$doc": (OLD,)},
    "delete": dict.fromkeys(("resource", "old", "$doc"), (OLD,)),
}


def read_hooks(root: Section, collections: Mapping[str, Collection], rules: Iterable[Rule]) -> Mapping[str, Hooks]:
    """By collection; those without hooks are not named."""
    root.text("version")
    own = root.section("hooks")
    of_go = root.section("collections")
    if root.has("collections"):
        fault = "stands beside 'hooks'; keep that one" if root.has("hooks") else "'collections' is read as 'hooks'"
        root.wrong("collections", fault, warning=not root.has("hooks"))
    stamps: dict[str, set[str]] = {}
    for rule in rules:
        stamps.setdefault(rule.collection, set()).update(name for name, _ in rule.stamps)
    found: dict[str, Hooks] = {}
    names = {OF_AUDIT}  # of receivers, in all collections
    for section in (own, of_go):
        for name, one in section.sections():
            if name not in collections:
                near = suggestion(name, collections)
                section.findings.append(section.node.keys[name].finding(f"unknown collection '{name}'{near}"))
                continue
            found[name] = _CollectionReader(one, collections[name], collections, stamps.get(name, set()), names).hooks()
    root.done()
    return found


class _CollectionReader:
    def __init__(
        self,
        section: Section,
        collection: Collection,
        collections: Mapping[str, Collection],
        stamps: set[str],
        names: set[str],
    ) -> None:
        self._section = section
        self._collection = collection
        self._collections = collections
        self._stamps = stamps
        self._receivers = ReceiverReader(collection, names)

    def hooks(self) -> Hooks:
        pre: dict[Event, tuple[Step, ...]] = {}
        post: dict[Event, tuple[Receiver, ...]] = {}
        for event in EVENTS:
            before = [self._step(one, event) for one in self._section.list_of_sections(f"pre_{event}")]
            after = [self._post(one, event) for one in self._section.list_of_sections(f"post_{event}")]
            pre[event] = tuple(step for step in before if step is not None)
            post[event] = tuple(receiver for receiver in after if receiver is not None)
        self._section.done()
        return Hooks(pre, post)

    # -- before

    def _step(self, section: Section, event: Event) -> Step | None:
        action = _action(section)
        reader = _StepReader(section, self._collection, event, self._stamps)
        step: Step | None = None
        match action:
            case "set_field":
                step = reader.set_field()
            case "transform":
                step = reader.transform()
            case "validate":
                step = reader.validate()
            case "validate_ref":
                step = reader.validate_ref(self._collections)
            case "http":
                step = self._call(section, event, reader)
        if action is not None:
            section.done()
        if event == "delete" and isinstance(step, SetField | Transform | ValidateRef):
            section.wrong("action", f"a deletion stores nothing; '{action}' has no place in pre_delete")
            return None
        return step

    def _call(self, section: Section, event: Event, reader: _StepReader) -> Call | None:
        receiver = self._receivers.before(section, event)
        if section.boolean("async", False):
            section.wrong("async", "a write waits for a pre hook; what need not be waited for is a post hook")
        ignores = section.choice("on_failure", "reject", ["reject", "ignore"]) == "ignore"
        condition = reader.condition()
        return None if receiver is None else Call(receiver, reader.kept, ignores, condition)

    # -- after

    def _post(self, section: Section, event: Event) -> Receiver | None:
        action = _action(section)
        if action is None:
            return None
        if action != "http":
            section.wrong("action", f"after a write there is nothing left to do for '{action}'; a post hook is 'http'")
            return None
        receiver = self._receivers.after(section, event)
        if not section.boolean("async", True):
            section.wrong("async", "a post hook is delivered after the commit, and no request waits for it")
        if section.has("on_failure"):
            section.wrong("on_failure", "a post hook can't undo what is committed; it is tried again")
        section.done(["on_failure"])
        return receiver


def _action(section: Section) -> str | None:
    if not section.has("action"):
        section.wrong("action", f"a hook names its 'action': {', '.join(ACTIONS)}")
        return None
    action = section.choice("action", "", ACTIONS)
    return action or None


class _StepReader:
    """One hook before one kind of write."""

    def __init__(self, section: Section, collection: Collection, event: Event, stamps: set[str]) -> None:
        self._section = section
        self._collection = collection
        self._event = event
        self._stamps = stamps
        self.kept = frozenset({*collection.stamped, *collection.placing, *stamps, "_id", *RESERVED_FIELDS})

    def set_field(self) -> SetField | None:
        path, value = self._target(), self._value()
        condition = self.condition()
        if path is None or value is None:
            return None
        if isinstance(value, Given):
            self._check_literal(path, value.value)
        return SetField(path, value, condition)

    def transform(self) -> Transform | None:
        path = self._target()
        chosen = self._section.choice("with", "", WORDINGS)
        if not self._section.has("with"):
            self._section.wrong("with", f"a transform says how: with: {', '.join(WORDINGS)}")
        condition = self.condition()
        how = next((one for one in WORDINGS if one == chosen), None)
        if path is None or how is None:
            return None
        one = self._collection.declared(path)
        if one is not None and one.type not in ("string", "any"):
            self._section.wrong("field", f"'{'.'.join(path)}' is of type {one.type}; a transform is for texts")
        return Transform(path, how, condition)

    def validate(self) -> Validate | None:
        if not self._section.has("condition"):
            self._section.wrong("condition", "a 'validate' has a 'condition': what must be true")
        condition = self.condition()
        return Validate(condition, self._section.text("error", "a rule of this collection refuses this"))

    def validate_ref(self, collections: Mapping[str, Collection]) -> ValidateRef | None:
        path, name = self._readable("field"), self._section.text("collection")
        message = self._section.text("error", f"there is no such document in {name}")
        found = collections.get(name)
        if found is None:
            self._section.wrong("collection", f"unknown collection '{name}'{suggestion(name, collections)}")
        if path is None or found is None:
            return None
        kind = self._collection.kind_of(".".join(path))
        if kind != found.id_type:
            told = f"ids of '{name}' are of type {found.id_type}; this field is of type {kind or 'any'}"
            self._section.wrong("field", told)
        return ValidateRef(path, name, message)

    def condition(self) -> Expression:
        text = self._section.optional_text("condition")
        if text is None:
            return ALWAYS
        try:
            return self._read(text)
        except RuleError as error:
            self._section.wrong("condition", f"{error} (at sign {error.offset + 1})")
            return UNKNOWN

    def _read(self, text: str) -> Expression:
        expression = typed(parse(text, _DOCUMENTS[self._event]), self._kind_of)
        for path in paths_of(expression):
            dotted = ".".join(path.segments[1:])
            if path.root == "user" and path.segments[0] in RELATIONS:
                raise RuleError(f"'user.{path.segments[0]}' is for the rules of policy.yml", path.offset)
            if path.root == "resource" and not self._collection.knows(dotted):
                near = suggestion(dotted, self._collection.fields)
                raise RuleError(f"'{self._collection.name}' has no field '{dotted}'{near}", path.offset)
            if path.root == "resource" and self._collection.is_computed(dotted):
                raise RuleError(f"'{dotted}' is computed; a condition names the fields it is made of", path.offset)
        return expression

    def _kind_of(self, dotted: str) -> str | None:
        return self._collection.kind_of(dotted.partition(".")[2])

    # -- fields

    def _target(self) -> FieldPath | None:
        """A field that a hook may write: of what the gateway itself writes, and rules stamp, nothing."""
        path = self._readable("field")
        if path is None:
            return None
        if path[0] in self.kept:
            self._section.wrong("field", f"'{path[0]}' is written by {self._writer_of(path[0])}")
        for n in range(1, len(path)):
            above = self._collection.at(path[:n])
            if above is not None and above.type not in ("object", "any"):
                self._section.wrong("field", f"'{'.'.join(path[:n])}' is no object; nothing below it can be set")
        return path

    def _writer_of(self, name: str) -> str:
        if name in self._stamps:
            return "'set' of a rule in policy.yml"
        if name in self._collection.placing:
            return "who may say who is above whom, by 'reassign' in policy.yml"
        return "the gateway alone"

    def _readable(self, key: str) -> FieldPath | None:
        text = self._section.text(key)
        fault = fault_of_path(text, self._collection) if text else f"this hook names a '{key}'"
        if fault is not None:
            self._section.wrong(key, fault)
            return None
        return canonical(text)

    # -- values

    def _value(self) -> Given | Drawn | Path | None:
        node = self._section.raw("value")
        if node is None:
            self._section.wrong("value", "a 'set_field' has a 'value'")
            return None
        text = node.value if isinstance(node, Scalar) else None
        if not isinstance(text, str) or not text.startswith("$"):
            return Given(plain(node))
        if text.startswith("$$"):
            return Given(text[1:])
        drawn = _SEQUENCE.fullmatch(text)
        if drawn is not None:
            if self._event != "create":
                self._section.wrong("value", "a number of a sequence is drawn when a document is made: in pre_create")
            return Drawn(drawn[1])
        return self._variable(text)

    def _variable(self, text: str) -> Path | None:
        try:
            # `x == value` is the smallest text in which a value stands.
            expression = parse(f"{text} == true", _DOCUMENTS[self._event])
            if not isinstance(expression, Compare) or not isinstance(expression.left, Path):
                raise RuleError(f"'{text}' is no variable")
            if expression.left.root == "resource":
                self._check_source(".".join(expression.left.segments[1:]))
            return expression.left
        except RuleError as error:
            known = "known: $user.id, $user.tenant_id, $now, $doc.f, $new.f, $auto.sequence.name; $$ stands for a $"
            self._section.wrong("value", f"{error}; {known}")
            return None

    def _check_source(self, dotted: str) -> None:
        if not self._collection.knows(dotted) or self._collection.is_computed(dotted):
            raise RuleError(f"'{self._collection.name}' has no field '{dotted}' to take a value from")

    def _check_literal(self, path: FieldPath, value: Any) -> None:
        place = ".".join(path)
        one = self._collection.at(path)
        faults = read_value(value, one, self._collection, place)[1]
        for error in [*faults, *unfit_names(value, self._collection, place)]:
            self._section.wrong("value", f"'{error.field}': {error.message}")
