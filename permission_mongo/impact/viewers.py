"""For whom a difference is counted: named principals, and for roles that have none some drawn from the documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from permission_mongo.config.model import Config
from permission_mongo.documents.parts import value_at
from permission_mongo.policy.nodes import And, Compare, Expression, Member, Not, Or, Path
from permission_mongo.policy.rules import Rule
from permission_mongo.principal import Principal
from permission_mongo.values import Document

DRAWN: Final = 3  # principals of one role


@dataclass(frozen=True, slots=True)
class Viewer:
    """`origin` says where the principal's claims are from."""

    name: str
    principal: Principal = field(repr=False)
    origin: str

    @property
    def roles(self) -> tuple[str, ...]:
        return tuple(sorted(self.principal.roles))


def named_viewers(old: Config, new: Config) -> dict[str, Viewer]:
    """The principals of both files of policy tests; of one name the new file's."""
    found: dict[str, Viewer] = {}
    for config in (old, new):
        for name, principal in (config.tests.principals if config.tests else {}).items():
            found[name] = Viewer(name, principal, "policy_tests.yml")
    return found


def viewer_of(claims: Mapping[str, Any], config: Config) -> Viewer:
    """Of the claims of a token, under the names that the configuration gives them. ValueError says what is wanting."""
    auth = config.auth
    subject, tenant = claims.get(auth.user_claim), claims.get(auth.tenant_claim)
    roles = claims.get(auth.roles_claim, [])
    if not isinstance(subject, str) or not subject:
        raise ValueError(f"'{auth.user_claim}' names the subject, as text")
    if tenant is not None and not isinstance(tenant, str):
        raise ValueError(f"'{auth.tenant_claim}' is a text")
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise ValueError(f"'{auth.roles_claim}' is a list of texts")
    return Viewer(subject, Principal(subject, tenant, frozenset(roles), dict(claims), "token"), "--as")


def drawn_viewers(
    old: Config, new: Config, roles: Iterable[tuple[str, ...]], documents: Mapping[str, Iterable[Document]]
) -> Iterator[Viewer]:
    """For each set of roles up to DRAWN principals, with the attributes that rules compare with these documents."""
    for held in roles:
        seen: set[object] = set()
        for name, found in documents.items():
            rules = [rule for config in (old, new) for rule in _rules_of(config, held, name)]
            for document in found if rules else ():
                viewer = _drawn(held, name, document, rules, (old, new))
                who = viewer.principal
                mark = (who.subject, who.tenant, repr(sorted(who.claims.items(), key=lambda one: one[0])))
                if mark not in seen and len(seen) < DRAWN:
                    seen.add(mark)
                    yield viewer
        if not seen:
            yield Viewer("+".join(held), Principal("nobody", None, frozenset(held), {}, "token"), "made up")


def _rules_of(config: Config, held: tuple[str, ...], name: str) -> Iterator[Rule]:
    known = config.policy.engine.roles_of(held)
    return (rule for rule in config.policy.rules.values() if rule.collection == name and rule.role in known)


def _drawn(
    held: tuple[str, ...], name: str, document: Document, rules: Iterable[Rule], configs: tuple[Config, ...]
) -> Viewer:
    claims: dict[str, Any] = {}
    tenant: Any = None
    subject: Any = None
    for config in configs:
        collection = config.collections.get(name)
        if collection is not None:
            tenant = document.get(collection.tenant_field or "", tenant)
            subject = document.get(collection.owner_field or "", subject)
    for stored, attribute in (pair for rule in rules for pair in _compared(rule.when)):
        value = _first(value_at(document, list(stored.segments)))
        match attribute.segments:
            case _ if value is None:
                continue
            case ("id",):
                subject = value
            case ("tenant_id",):
                tenant = value
            case (*above, last):
                _put(claims, above, last, [value] if attribute.kind == "list" else value)
    who = Principal(_text(subject) or "nobody", _text(tenant), frozenset(held), claims, "token")
    return Viewer("+".join(held), who, f"drawn from {name} {document.get('_id')}")


def _compared(expression: Expression) -> Iterator[tuple[Path, Path]]:
    """Places of a document, each with the attribute of the caller it is held against; `kind` "list" of one in lists."""
    match expression:
        case And(parts) | Or(parts):
            for part in parts:
                yield from _compared(part)
        case Not(part):
            yield from _compared(part)
        case Compare("==", Path(root="resource") as stored, Path(root="user") as attribute):
            yield stored, attribute
        case Member(Path(root="resource") as stored, Path(root="user", segments=segments)):
            yield stored, Path("user", segments, "list")
        case Member(Path(root="user") as attribute, Path(root="resource") as stored):
            yield stored, attribute
        case _:
            return


def _first(value: Any) -> Any:
    """A single value; of an array its first."""
    found = value[0] if isinstance(value, list) and value else value
    return None if isinstance(found, dict | list) or type(found) is object else found


def _put(claims: dict[str, Any], above: list[str], last: str, value: Any) -> None:
    for name in above:
        inner = claims.setdefault(name, {})
        if not isinstance(inner, dict):
            return
        claims = inner
    claims.setdefault(last, value)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
