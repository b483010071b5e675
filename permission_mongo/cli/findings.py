"""Findings as a person reads them, as tools do, and as a GitHub workflow shows them beside the lines of a change."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from permission_mongo.errors import Finding
from permission_mongo.values import write_json

Lines = Mapping[str, Sequence[str]]  # of each file
_LONGEST: Final = 160
_MAY_HOLD_SECRETS: Final = re.compile(r"config\.ya?ml|server\.ya?ml|hooks\.ya?ml")
# Of such a file a line is shown if it begins with a key, no word on it is one of these, and no address names a user.
_BEGINS_WITH_A_KEY: Final = re.compile(r"\s*[\w.-]+:(\s|$)")
_SECRET: Final = re.compile(r"secret|uri|key|token|password|header|://\S*@", re.IGNORECASE)


def lines_of(folder: Path, findings: Iterable[Finding]) -> Lines:
    """The lines of the files that the findings name; of one that can't be read none."""
    names = {one.file for one in findings}
    found = {name: folder / name for name in names if (folder / name).is_file()}
    return {name: path.read_text(encoding="utf-8", errors="replace").splitlines() for name, path in found.items()}


def for_people(finding: Finding, lines: Lines) -> str:
    """`file:line:column: message [code]`, the line with a caret, and what to write."""
    told = [f"{finding} [{finding.code}]", *_excerpt(finding, lines)]
    if finding.proposal:
        told.append(f"      = add: {finding.proposal}")
    return "\n".join(told)


def _excerpt(finding: Finding, lines: Lines) -> list[str]:
    text = lines.get(finding.file, ())
    if not 1 <= finding.line <= len(text) or not _may_be_shown(finding, text[finding.line - 1]):
        return []
    line, column = text[finding.line - 1], max(finding.column, 1)
    start = max(0, column - _LONGEST // 2) if len(line) > _LONGEST else 0
    shown = "".join(sign if sign.isprintable() or sign == "\t" else "\ufffd" for sign in line[start : start + _LONGEST])
    # A tab stays one, so that the caret stands below its sign at any width of tabs.
    lead = "".join("\t" if sign == "\t" else " " for sign in shown[: column - 1 - start])
    return [f"{finding.line:5} | {shown}", f"      | {lead}^"]


def _may_be_shown(finding: Finding, line: str) -> bool:
    """A report ends in logs that many read: no line of it may hold a secret."""
    if not _MAY_HOLD_SECRETS.fullmatch(finding.file):
        return True
    return finding.code != "not-yaml" and bool(_BEGINS_WITH_A_KEY.match(line)) and not _SECRET.search(line)


def as_json(findings: Sequence[Finding]) -> str:
    """The shape is documented in docs/linting.md, and keys are only ever added."""
    return write_json({"findings": [one.told() for one in findings], **counts(findings)}).decode()


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    severities = [one.severity for one in findings]
    return {f"{severity}s": severities.count(severity) for severity in ("error", "warning", "notice")}


def for_github(finding: Finding, folder: Path) -> str:
    """A workflow command; what its own signs are is escaped as the runner reads it."""
    place = {"file": (folder / finding.file).as_posix()}
    if finding.line:
        place |= {"line": str(finding.line), "col": str(finding.column)}
    properties = ",".join(f"{key}={_property(text)}" for key, text in {**place, "title": finding.code}.items())
    message = f"{finding.message}\n{finding.proposal}" if finding.proposal else finding.message
    return f"::{finding.severity} {properties}::{_escaped(message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
