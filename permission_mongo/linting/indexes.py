"""Conditions and indexes that do not fit each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from permission_mongo.config.yaml import Map, Scalar
from permission_mongo.linting.subject import Subject, Told
from permission_mongo.policy.facts import UNEQUAL, Among, Claim, Facts, Leaf, Relation
from permission_mongo.policy.implication import cases_of
from permission_mongo.policy.nodes import Contains, Member, Path, StartsWith
from permission_mongo.policy.rules import Rule
from permission_mongo.schema.model import Collection

_ON_ROWS = frozenset({"read", "update", "delete", "restore", "aggregate"})
_MOST_FIELDS = 3


def tenant_not_led(subject: Subject) -> Iterator[Told]:
    for collection in subject.collections.values():
        tenant = collection.tenant_field
        for n, index in enumerate(collection.indexes):
            names = [name for name, _ in index.keys]
            # A unique one is refused at load unless it is global; one that expires is on its date alone.
            if tenant is None or names[0] == tenant or index.unique or index.expire_after is not None:
                continue
            if _says_global(subject, collection, n):
                continue
            keys = [_key(name, order) for name, order in index.keys if name != tenant]
            yield Told(
                subject.mark("schema", "collections", collection.name, "indexes", n),
                f"every query of '{collection.name}' names its '{tenant}', which does not lead this index: what is "
                "looked for by it is looked for in all tenants",
                f"- fields: [{', '.join([tenant, *keys])}]",
            )


def _says_global(subject: Subject, collection: Collection, n: int) -> bool:
    node = subject.node("schema", "collections", collection.name, "indexes", n)
    said = node.entries.get("global") if isinstance(node, Map) else None
    return isinstance(said, Scalar) and said.value is True


def _key(name: str, order: int) -> str:
    return name if order > 0 else f"-{name}"


def no_index(subject: Subject) -> Iterator[Told]:
    for rule in subject.rules:
        if rule.effect == "allow" and _ON_ROWS & set(rule.actions):
            collection = subject.collections[rule.collection]
            wanted = unserved(collection, rule)
            if wanted:
                lead = [collection.tenant_field] if collection.tenant_field else []
                whole = f"its '{lead[0]}' has" if lead else "there is"
                yield Told(
                    subject.part(rule, "when"),
                    f"no index of '{collection.name}' leads to '{wanted[0]}': what this rule lists is looked for among "
                    f"all documents that {whole}",
                    f"- fields: [{', '.join([*lead, *wanted])}]",
                )


def unserved(collection: Collection, rule: Rule) -> list[str]:
    """The fields of an index that a rule's rows could be found by, where there is none; the first leads."""
    for case in cases_of(rule.when) or ():
        if not Facts(case).are_possible:
            continue
        names = _names_in(case, collection)
        if names and not _leads(collection) & set(names):
            return names[:_MOST_FIELDS]
    return []


def _leads(collection: Collection) -> set[str]:
    """The fields that an index leads to, those behind the tenant included."""
    found = {"_id"}
    for index in collection.indexes:
        names = [name for name, _ in index.keys]
        if index.partial is None:
            found |= {name for name in names[:1] if name != collection.tenant_field}
            found |= set(names[1:2]) if names[0] == collection.tenant_field else set()
    return found


def _names_in(case: Iterable[Claim], collection: Collection) -> list[str]:
    """The fields by whose value the rows of a case can be found: those of one value first, then one of many."""
    single: list[str] = []
    ranged: list[str] = []
    for claim in case:
        match claim:
            case Among(("resource", segments)):
                single.append(".".join(segments))
            case Relation(("resource", segments), _, outcomes) if not outcomes & {"ne"} and outcomes != UNEQUAL:
                ranged.append(".".join(segments))
            case Leaf(StartsWith(path) | Contains(_, path) | Member(_, Path(root="resource") as path), True):
                ranged.append(path.dotted)
            case Leaf(Member(Path(root="resource") as path), True):
                single.append(path.dotted)
            case _:
                pass
    fit = [name for name in dict.fromkeys((*single, *ranged)) if not collection.is_vector(name)]
    own = [name for name in fit if name in single and name != collection.tenant_field]
    return own + [name for name in fit if name in ranged and name not in own][:1]
