"""Every lint: its code, what it is about, and the function that looks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from permission_mongo.config.load import Loaded
from permission_mongo.errors import Finding
from permission_mongo.linting import conditions, fields, indexes, roles, shadows
from permission_mongo.linting.subject import Subject, Told


@dataclass(frozen=True, slots=True)
class Lint:
    """`at_start`: told by `serve` as well. `notice`: nothing to mend, and never counted."""

    code: str
    about: str
    look: Callable[[Subject], Iterator[Told]]
    at_start: bool = False
    notice: bool = False


LINTS: tuple[Lint, ...] = (
    Lint("never-applies", "a condition that is true of no document", conditions.never_applies, at_start=True),
    Lint("always-applies", "a condition that is true of every document", conditions.always_applies, at_start=True),
    Lint("not-in-enum", "a literal that its field can't have", conditions.not_in_enum),
    Lint("judged-vector", "a condition that looks into a vector", conditions.judged_vector),
    Lint("unsure-deny", "a deny that applies where a field is absent", conditions.unsure_deny, at_start=True),
    Lint("unsure-check", "a check that fails where a field is absent", conditions.unsure_check, at_start=True),
    Lint("shadowed-rule", "a rule that another one holds whole", shadows.shadowed_rule),
    Lint("denied-always", "a rule below an unconditional deny", shadows.denied_always),
    Lint("void-limit", "a mask or deny_write that another rule makes void", shadows.void_limit),
    Lint("tenant-not-led", "an index of a tenant collection that the tenant does not lead", indexes.tenant_not_led),
    Lint("no-index", "a condition whose fields no index leads to", indexes.no_index, at_start=True),
    Lint("mask-on-denied", "a mask on a field that its rule does not show", fields.mask_on_denied),
    Lint("idle-mask", "a mask that is not for the field's type", fields.idle_mask),
    Lint(
        "judged-field-writable", "a field that decides on rows, written by who it judges", fields.judged_field_writable
    ),
    Lint("unmentioned-role", "a role that gives nothing", roles.unmentioned_role),
    Lint("unread-collection", "a collection that no role reads", roles.unread_collection),
    Lint("unused-template", "a template that no collection uses", roles.unused_template),
    Lint("unused-action", "an action that no role has on a collection", roles.unused_action, notice=True),
    Lint("cross-tenant", "a role that reaches past the tenant", roles.cross_tenant, notice=True),
)


def lint(loaded: Loaded, *, at_start: bool = False) -> tuple[Finding, ...]:
    """What is told of a sound configuration, in the order of its files; `at_start`: what `serve` tells."""
    subject = Subject(loaded)
    found = {_finding(one, told) for one in LINTS if one.at_start or not at_start for told in one.look(subject)}
    return tuple(sorted(found))


def _finding(one: Lint, told: Told) -> Finding:
    mark = told.mark
    return Finding(mark.file, mark.line, mark.column, told.message, True, one.code, told.proposal, one.notice)


_WAIVER: Final = re.compile(r"#\s*check:\s*ignore\s+([\w-]+(?:\s*,\s*[\w-]+)*)")


def is_waived(finding: Finding, lines: Sequence[str]) -> bool:
    """Whether the line of a lint, or the one above it, says `# check: ignore CODE`. A mistake can't be waived."""
    if not finding.warning or finding.line == 0:
        return False
    near = lines[max(finding.line - 2, 0) : finding.line]
    return any(finding.code in re.split(r"\s*,\s*", found[1]) for line in near if (found := _WAIVER.search(line)))
