"""Results of policy tests for people, for TAP and JUnit readers, and as JSON. Text in, text out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from xml.etree import ElementTree as XML

from permission_mongo.trials.coverage import Touched, share
from permission_mongo.trials.run import Result
from permission_mongo.values import write_json

# What XML 1.0 can't hold, however it is written.
_UNFIT: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def in_words(results: Sequence[Result]) -> str:
    """Each failure with its place and its faults, and last how many there are."""
    lines: list[str] = []
    for result in _failed(results):
        lines.append(f"FAIL {_place(result)}  {result.case.name}")
        lines += [f"     {line}" for fault in result.faults for line in fault.splitlines()]
    failed = len(list(_failed(results)))
    counted = f"{len(results)} policy test{'' if len(results) == 1 else 's'}"
    lines.append(f"{counted}: {failed} failed, {len(results) - failed} passed" if failed else f"{counted}: all passed")
    return "\n".join(lines)


def as_tap(results: Sequence[Result]) -> str:
    """TAP version 14, the faults of a failure in its YAML block (of JSON texts, which are YAML)."""
    lines = ["TAP version 14", f"1..{len(results)}"]
    for n, result in enumerate(results, 1):
        lines.append(f"{'not ok' if result.faults else 'ok'} {n} - {_tap_text(result.case.name)}")
        if result.faults:
            lines += ["  ---", f"  at: {_json(_place(result))}", "  faults:"]
            lines += [f"    - {_json(fault)}" for fault in result.faults]
            lines.append("  ...")
    return "\n".join(lines)


def _tap_text(name: str) -> str:
    return name.replace("\\", "\\\\").replace("#", "\\#").replace("\n", " ")


def as_junit(results: Sequence[Result]) -> bytes:
    """JUnit XML: one suite, a case a test, its class the collection."""
    failed = str(len(list(_failed(results))))
    counts = {"tests": str(len(results)), "failures": failed, "errors": "0", "time": "0"}
    suites = XML.Element("testsuites", counts)
    suite = XML.SubElement(suites, "testsuite", {"name": "policy tests", **counts, "skipped": "0"})
    for result in results:
        about = {"name": _fit(result.case.name), "classname": f"policy.{result.case.collection}", "time": "0"}
        case = XML.SubElement(suite, "testcase", about)
        if result.faults:
            told = XML.SubElement(case, "failure", {"message": _fit(result.faults[0]), "type": "policy"})
            told.text = _fit("\n".join([_place(result), *result.faults]))
    return bytes(XML.tostring(suites, encoding="utf-8", xml_declaration=True)) + b"\n"


def _fit(text: str) -> str:
    return _UNFIT.sub("\N{REPLACEMENT CHARACTER}", text)


def as_json(results: Sequence[Result], touched: Sequence[Touched] | None) -> str:
    return _json(told(results, touched))


def told(results: Sequence[Result], touched: Sequence[Touched] | None) -> dict[str, Any]:
    """`{"tests": [...], "passed", "failed", "coverage"?}`, as JSON has it."""
    found: dict[str, Any] = {
        "tests": [
            {"name": one.case.name, "at": _place(one), "passed": not one.faults, "faults": list(one.faults)}
            for one in results
        ],
        "passed": sum(not one.faults for one in results),
        "failed": len(list(_failed(results))),
    }
    if touched is not None:
        rules = [
            {
                "at": str(one.rule.place),
                "collection": one.rule.collection,
                "role": one.rule.role,
                "held": one.held,
                "never_refused": one.never_refused,
            }
            for one in touched
        ]
        found["coverage"] = {"percent": round(share(touched), 1), "rules": rules}
    return found


def coverage_in_words(touched: Sequence[Touched]) -> str:
    """Rules that no test touched, and those that no test shows to refuse anything."""
    lines = [f"{one.rule.place}: {_named(one)}: untouched" for one in touched if not one.held]
    lines += [f"{one.rule.place}: {_named(one)}: never refused" for one in touched if one.never_refused]
    held = sum(one.held for one in touched)
    return "\n".join([*lines, f"{held} of {len(touched)} rules touched ({share(touched):.0f} %)"])


def _named(touched: Touched) -> str:
    rule = touched.rule
    return f"{rule.effect} {'/'.join(rule.actions)} of '{rule.role}' in {rule.collection}"


def _failed(results: Iterable[Result]) -> Iterator[Result]:
    return (result for result in results if result.faults)


def _place(result: Result) -> str:
    mark = result.case.mark
    return f"{mark.file}:{mark.line}:{mark.column}"


def _json(value: Any) -> str:
    return write_json(value).decode()
