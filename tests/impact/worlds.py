"""Random policies over one collection, and what really comes of one: asked of the plans that serve requests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from hypothesis import strategies as st

from permission_mongo.config.model import Config
from permission_mongo.documents.fields import FieldRules
from permission_mongo.documents.paths import canonical, leaf_paths
from permission_mongo.errors import Refusal
from permission_mongo.operations import CreateOne, Sent, UpdateOne
from permission_mongo.parsing.changes import change_of
from permission_mongo.planning.callers import Asking, Callers
from permission_mongo.planning.make import Planner
from permission_mongo.planning.revisions import Reviser
from permission_mongo.policy.binding import typed
from permission_mongo.policy.evaluate import holds
from permission_mongo.policy.grants import Policy
from permission_mongo.policy.nodes import ALWAYS, Path, Value
from permission_mongo.policy.parser import parse
from permission_mongo.policy.rules import ACTIONS, Role, Rule
from permission_mongo.principal import Principal
from permission_mongo.query.cursors import CursorKey
from permission_mongo.rewrites import rewrite, writable_in
from permission_mongo.schema.model import Collection, Field
from tests.builders import NOW

KEY = bytes(32)
ROLES = ("viewer", "user", "boss")
INHERITS = [{}, {"user": ("viewer",)}, {"user": ("viewer",), "boss": ("user",)}]
WHENS = [
    "", "resource.a == 1", "resource.a != 1", "resource.a in [1, 2]", "resource.a < 2", "resource.a < 3", "resource.a >= 1",
    "resource.b == 'x'", "resource.b in ['x', 'y']", "!(resource.b in ['x'])", "has(resource.b)", "resource.owner == user.id",
    "resource.a == user.n", "resource.a == 1 && resource.b == 'x'", "resource.a == 1 || resource.b == 'x'",
    "!(resource.a == 1 && resource.b == 'x')", "resource.owner == user.id || resource.a == 1", "startsWith(resource.b, 'x')",
    "resource.a == user.missing",
]  # fmt: skip
PATHS = ["a", "b", "owner", "pay", "pay.month", "pay.bonus", "t"]
FIELDS = {
    "t": Field("t", "string"),
    "owner": Field("owner", "string"),
    "a": Field("a", "integer"),
    "b": Field("b", "string"),
    "pay": Field("pay", "object", properties={"month": Field("month", "string"), "bonus": Field("bonus", "string")}),
}


def a_collection(tenant="t"):
    return Collection("notes", FIELDS, "string", True, tenant, None, timestamps=False, versioned=True)


def some_paths(least=0):
    return st.frozensets(st.sampled_from(PATHS).map(canonical), min_size=least, max_size=3)


def some_fields():
    masks = st.lists(
        st.tuples(st.sampled_from(PATHS).map(canonical), st.sampled_from(["redact", "last4", "partial", "hash"])),
        max_size=2,
        unique_by=lambda one: one[0],
    )
    whole = st.builds(
        FieldRules, st.none() | some_paths(1), some_paths(), some_paths(), masks.map(tuple), st.just(frozenset())
    )
    return st.one_of(st.just(FieldRules()), whole)


def an_expression(text):
    return typed(parse(text), a_collection().kind_of) if text else ALWAYS


def some_whens():
    return st.one_of(st.just(""), st.sampled_from(WHENS))


@st.composite
def rules(draw, number=0):
    role, when = draw(st.sampled_from(ROLES)), an_expression(draw(some_whens()))
    some = st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=3, unique=True).map(tuple)
    actions = draw(st.one_of(st.just(ACTIONS), st.just(ACTIONS), some))
    effect = draw(st.sampled_from(["allow", "allow", "allow", "allow", "deny", "hide"]))
    name = f"notes/{role}/{number}"
    if effect != "allow":
        hidden = draw(some_paths(1)) if effect == "hide" else frozenset()
        return Rule(name, role, "notes", actions, "deny", when, hidden=hidden)
    check = draw(st.one_of(st.none(), st.sampled_from(WHENS).map(an_expression)))
    fields = draw(some_fields())
    if check is not None and draw(st.booleans()):
        fields = replace(fields, reassign=draw(some_paths()))
    stamps = draw(st.sampled_from([(), (), (), (("b", Value("x")),), (("owner", Path("user", ("id",))),)]))
    return Rule(name, role, "notes", actions, "allow", when, check, fields, frozenset(), stamps)


@st.composite
def policies(draw):
    count = draw(st.integers(1, 4))
    return tuple(draw(rules(n)) for n in range(count))


@st.composite
def pairs(draw):
    """Two policies of which the second is mostly a small change of the first."""
    old = draw(policies())
    roles = roles_of(draw(st.sampled_from(INHERITS)), draw(st.sampled_from([(), (), (), ("boss",)])))
    new, after = list(old), roles
    for _ in range(draw(st.integers(1, 2))):
        change = draw(st.sampled_from(["drop", "add", "other", "when", "fields", "check", "roles", "move"]))
        at = draw(st.integers(0, len(new) - 1)) if new else None
        if change == "roles":
            after = roles_of(draw(st.sampled_from(INHERITS)), draw(st.sampled_from([(), ("boss",)])))
        elif change == "add" or at is None:
            new.insert(draw(st.integers(0, len(new))), draw(rules(len(new) + 10)))
        elif change == "drop":
            del new[at]
        elif change == "move":
            new.append(new.pop(at))
        elif change == "other":
            new[at] = draw(rules(at))
        elif change == "when":
            new[at] = replace(new[at], when=an_expression(draw(some_whens())))
        elif new[at].effect == "allow" and change == "fields":
            new[at] = replace(new[at], fields=draw(some_fields()))
        elif new[at].effect == "allow":
            new[at] = replace(new[at], check=an_expression(draw(some_whens())))
    return a_config(old, roles), a_config(tuple(new), after)


@st.composite
def barring_pairs(draw):
    """A rule that gives all, and one that bars some of it, now by another condition."""
    role = "viewer"  # whose rules all roles have here
    whens = [an_expression(draw(some_whens())) for _ in range(2)]
    hidden = draw(st.one_of(st.just(frozenset()), some_paths(1)))
    whole = Rule(f"notes/{role}/0", role, "notes", ACTIONS)
    bars = [Rule(f"notes/{role}/1", role, "notes", ACTIONS, "deny", when, hidden=hidden) for when in whens]
    old, new = ([whole, bar] for bar in bars)
    return a_config(old, roles_of(INHERITS[2])), a_config(new, roles_of(INHERITS[2]))


@st.composite
def showing_pairs(draw):
    """One rule that shows all rows, now with other fields."""
    rules_ = (Rule("notes/viewer/0", "viewer", "notes", ("read",), fields=draw(some_fields())) for _ in range(2))
    old, new = ([rule] for rule in rules_)
    return a_config(old, roles_of(INHERITS[2])), a_config(new, roles_of(INHERITS[2]))


def roles_of(inherits, crossing=()):
    return {name: Role(name, tuple(inherits.get(name, ())), name in crossing) for name in ROLES}


def a_config(found, roles, collection=None):
    # The loader refuses two stamps that clash; here the first wins on both sides.
    return Config({"notes": collection or a_collection()}, Policy(found, roles))


def documents():
    return st.fixed_dictionaries(
        {"_id": st.just("one"), "_version": st.just(1)},
        optional={
            "t": st.sampled_from(["acme", "acme", "evil"]),
            "owner": st.sampled_from(["alice", "bob"]),
            "a": st.sampled_from([1, 2, 3, None]),
            "b": st.sampled_from(["x", "y", "xylophone-0123"]),
            "pay": st.sampled_from(
                [{"month": "1234567890", "bonus": "ab"}, {"month": "x"}, {}, {"bonus": "0987654321"}]
            ),
        },
    )


CHANGES = [
    {"a": 2},
    {"b": "y"},
    {"owner": "bob"},
    {"pay": {"month": "2"}},
    {"a": 1, "b": "x"},
    {"t": "evil"},
    {"b": None},
]
SENT = [
    {"a": 1},
    {"b": "x"},
    {"a": 2, "b": "y"},
    {"a": 1, "b": "x", "owner": "alice"},
    {"pay": {"month": "1"}},
    {"a": 1, "t": "evil"},
    {},
]


@dataclass
class Real:
    """One policy at work for one principal."""

    config: Config
    asking: Asking

    def __post_init__(self):
        self.callers = Callers(self.config, KEY)
        self.planner = Planner(self.callers, CursorKey(KEY), lambda: UUID(int=0), {})
        self.collection = self.config.collections["notes"]

    def reach(self, action):
        try:
            return self.callers.access(self.asking, self.collection, action).reach
        except Refusal:
            return None

    def permits(self, action, document):
        reading, acting = self.reach("read"), self.reach(action)
        if reading is None or acting is None or not reading.sees(document):
            return False
        return holds(acting.accepted_rows, document) if action == "restore" else acting.sees(document)

    def shown(self, document):
        return self.callers.access(self.asking, self.collection, "read").lens.show(document)

    def writable(self, document):
        if not self.permits("update", document):
            return frozenset()
        reviser = Reviser.of(self.collection, self.asking, self.callers, self.planner.new_uuid)
        return writable_in(reviser.idle(), document, [canonical(path) for path in PATHS])

    def changed(self, document, change):
        """The document as it is then, or None where it is refused."""
        try:
            plan = self.planner.plan(UpdateOne(self.collection, document["_id"], change_of(change)), self.asking)
            if not self.permits("update", document):
                return None
            written = rewrite(plan.revision, document)
        except Refusal:
            return None
        if written is None:
            return document
        return {name: value for name, value in {**document, **written.fields}.items() if name not in written.gone}

    def created(self, sent):
        try:
            plan = self.planner.plan(CreateOne(self.collection, Sent("new", sent)), self.asking)
        except Refusal:
            return None
        return {name: value for name, value in plan.drafts[0].document.items() if name != "_made"}


def callers(*roles):
    """Principals that hold these roles."""
    for subject, tenant, claims in (("alice", "acme", {"n": 1}), ("bob", "evil", {"n": 2}), ("alice", None, {})):
        principal = Principal(subject, tenant, frozenset(roles), claims, "token")
        yield Asking(principal, NOW, {"method": "GET", "ip": "127.0.0.1"}, "test")


def gains(old, new, asking, rows):
    """What `new` really gives beyond `old` to one principal, as words; the first that is found."""
    before, after = Real(old, asking), Real(new, asking)
    for sent in SENT:
        now = after.created(sent)
        if now is not None and now != before.created(sent):
            return f"creates {sent}"
    return next((found for row in rows if (found := gains_in(before, after, row))), "")


def gains_in(before, after, document):
    for action in ACTIONS:
        if action != "create" and after.permits(action, document) > before.permits(action, document):
            return f"may {action} {document}"
    if not after.permits("read", document):
        return ""
    for path in shown_more(before.shown(document), after.shown(document), document):
        return f"reads {path} of {document}"
    for path in PATHS:
        if lends(after, document, path) > lends(before, document, path):
            return f"asks about {path} of {document}"
    if not after.permits("update", document):
        return ""
    more = after.writable(document) - before.writable(document)
    if more:
        return f"writes {sorted(more)} of {document}"
    for change in CHANGES:
        now = after.changed(document, change)
        if now is not None and now != before.changed(document, change):
            return f"changes {document} by {change}"
    return ""


def lends(real, document, path):
    """Whether the row takes part in a request on the path."""
    return holds(real.reach("read").lending([canonical(path)]).rows, document)


def shown_more(before, after, stored):
    """Paths that tell more: raw now and not before, or another mask than a plain one."""
    for path in leaf_paths(after):
        was, now, is_ = (at(one, path) for one in (before, after, stored))
        if was != now and not (now == "***" and was is not None) and was != is_:
            yield path


def at(document, path):
    for part in path:
        document = document.get(part) if isinstance(document, dict) else None
    return document
