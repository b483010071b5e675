"""An explanation as text for a person, with colours where the terminal has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from permission_mongo.values import write_json

_COLOURS: Final = {"true": "32", "false": "31", "unknown": "33", "hidden": "35", "open": "36"}
_SIGNS: Final = {"true": "yes", "false": "no", "unknown": "unknown", "hidden": "hidden", "open": "depends"}
_LABELS: Final = {
    "readable": "readable",
    "masked": "masked",
    "writable": "writable",
    "writable_on_create": "when new",
}
_JOINTS: Final = {"all": "all of", "any": "any of", "not": "not"}


def as_text(told: Mapping[str, Any], *, colours: bool) -> str:
    return "\n".join(_Page(colours).lines(told))


class _Page:
    def __init__(self, colours: bool) -> None:
        self._colours = colours

    def lines(self, told: Mapping[str, Any]) -> Iterator[str]:
        what = f"{told['action']} {told['collection']}" + (f" {_plain(told['id'])}" if "id" in told else "")
        yield f"{what}: {self._answer(told)}"
        yield from self._caller(told["caller"])
        for need in told["needs"]:
            yield ""
            yield from self._need(need)
        yield ""
        yield from self._fields(told["fields"])
        if told["filter"] is not None:
            yield f"filter    {_plain(told['filter'])}"
        yield from _changes(told.get("would_change", {}))

    def _answer(self, told: Mapping[str, Any]) -> str:
        allowed, refusal = told["allowed"], told.get("refusal")
        if allowed is True:
            answer = self._coloured("allowed", "true")
        elif allowed is False:
            answer = self._coloured("not allowed", "false")
        else:
            answer = self._coloured(f"allowed {allowed}", "open")
        why = f" ({refusal['code']}: {refusal['message']})" if refusal else ""
        by = f", by {', '.join(told['decided_by'])}" if told["decided_by"] else ""
        return answer + why + by

    def _caller(self, caller: Mapping[str, Any]) -> Iterator[str]:
        inherited = [role for role in caller["with_inherited"] if role not in caller["roles"]]
        roles = ", ".join(caller["roles"]) or "no role"
        crosses = ", crosses tenants" if caller["crosses_tenants"] else ""
        yield f"caller    {caller['sub']} of {caller['tenant'] or 'no tenant'}{crosses}"
        yield f"roles     {roles}" + (f"; through them {', '.join(inherited)}" if inherited else "")
        if caller["unknown_roles"]:
            yield f"          the policy knows no {', '.join(caller['unknown_roles'])}"

    def _need(self, need: Mapping[str, Any]) -> Iterator[str]:
        speaking = [one for one in need["rules"] if one["speaks"]]
        silent = [one for one in need["rules"] if not one["speaks"]]
        within = f", where {need['tenant']['test']}" if need["tenant"] else ""
        yield f"to {need['action']}{within}:"
        for rule in speaking:
            yield from self._rule(rule)
        if not speaking:
            yield "  no rule speaks"
        for rule in silent:
            yield f"  - {rule['file']}:{rule['line']} {rule['effect']} {rule['role']}: {rule['why']}"

    def _rule(self, rule: Mapping[str, Any]) -> Iterator[str]:
        through = f" through {' > '.join(rule['through'])}" if len(rule["through"]) > 1 else ""
        hides = f" hides {', '.join(rule['hides'])}" if "hides" in rule else ""
        verdict = self._coloured(_SIGNS[rule["verdict"]], rule["verdict"])
        yield f"  * {rule['file']}:{rule['line']} {rule['effect']} {rule['role']}{through}{hides}: {verdict}"
        yield from self._clause(rule["when"], "      ")
        if "check" in rule:
            yield "      as the document will be:"
            yield from self._clause(rule["check"], "        ")

    def _clause(self, clause: Mapping[str, Any], indent: str) -> Iterator[str]:
        verdict = self._coloured(_SIGNS[clause["verdict"]], clause["verdict"])
        if "test" in clause:
            values = ", ".join(f"{name} = {_plain(value)}" for name, value in clause.get("values", {}).items())
            yield f"{indent}{clause['test']}: {verdict}" + (f"  [{values}]" if values else "")
            return
        kind = next(one for one in _JOINTS if one in clause)
        yield f"{indent}{_JOINTS[kind]}: {verdict}"
        for part in clause[kind]:
            yield from self._clause(part, indent + "  ")

    def _fields(self, fields: Mapping[str, Any]) -> Iterator[str]:
        some = fields.get("in_some_rows", {})
        for kind in _LABELS:
            always, sometimes = _names(fields[kind]), _names(some.get(kind, []))
            text = "; ".join(one for one in (always, f"in some rows {sometimes}" if sometimes else "") if one)
            yield f"{_LABELS[kind]:<10}{text or 'nothing'}"

    def _coloured(self, text: str, verdict: str) -> str:
        return f"\x1b[{_COLOURS[verdict]}m{text}\x1b[0m" if self._colours else text


def _changes(changes: Mapping[str, Any]) -> Iterator[str]:
    for clauses in changes.get("clauses", ()):
        yield f"it would be allowed if {' and '.join(clauses)}"
    for role in changes.get("roles", ()):
        yield f"it would be allowed with the role {role['role']}" + (f" for {role['for']}" if "for" in role else "")


def _names(found: Any) -> str:
    if isinstance(found, Mapping):
        return ", ".join(f"{name} ({mask})" for name, mask in found.items())
    return ", ".join(found)


def _plain(value: Any) -> str:
    """On one line, without signs that a terminal would obey."""
    text = value if isinstance(value, str) else write_json(value).decode()
    return "".join(sign if sign.isprintable() else "?" for sign in text)
