"""Installed packages and the lower bounds of pyproject.toml held against `advisories.json`; 1 where one is affected.

The file is kept here because a build must not depend on a service that answers today and not tomorrow. `--renew` asks
https://osv.dev of every installed package and writes it anew. `accepted` in it names
advisories that do not concern us, with why.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

HERE = Path(__file__).parent
OLD_AFTER = 90  # days
OSV = "https://api.osv.dev/v1/query"
Advisory = Mapping[str, Any]


def installed() -> dict[str, Version]:
    """What this interpreter would import, by canonical name."""
    return {canonicalize_name(one.name): Version(one.version) for one in distributions()}


def required(pyproject: Mapping[str, Any]) -> list[Requirement]:
    """What the project asks for, its extras included. An extra that another one names is read at its own place."""
    project = pyproject["project"]
    texts = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    asked = [Requirement(text) for text in texts]
    return [one for one in asked if canonicalize_name(one.name) != canonicalize_name(project["name"])]


def lowest(requirement: Requirement) -> Version | None:
    """The lowest version that is let in; None where there is no lower bound."""
    bounds = [Version(one.version) for one in requirement.specifier if one.operator in (">=", "==", "~=")]
    return max(bounds, default=None)


def hits(
    versions: Iterable[tuple[str, Version]], advisories: Iterable[Advisory]
) -> Iterator[tuple[str, Version, Advisory]]:
    """Each package with an advisory that its version is affected by."""
    known = list(advisories)
    for name, version in versions:
        for one in known:
            if canonicalize_name(one["package"]) == name and _is_affected(version, one):
                yield name, version, one


def _is_affected(version: Version, advisory: Advisory) -> bool:
    return any(SpecifierSet(one).contains(version, prereleases=True) for one in advisory["affected"])


def age(kept: Mapping[str, Any], today: date) -> int:
    """Days since the advisories were looked through."""
    return (today - date.fromisoformat(kept["date"])).days


def from_osv(name: str, record: Mapping[str, Any]) -> Advisory | None:
    """A record of the OSV schema as an advisory of this file; None for a withdrawn one, or one of another package."""
    if "withdrawn" in record:
        return None
    ranges = [
        one
        for affected in record.get("affected", ())
        if canonicalize_name(affected.get("package", {}).get("name", "")) == name
        for one in affected.get("ranges", ())
        if one["type"] == "ECOSYSTEM"
    ]
    found = [text for one in ranges for text in _specifiers(one["events"])]
    if not found:
        return None
    fixed = [event["fixed"] for one in ranges for event in one["events"] if "fixed" in event]
    about = record.get("summary") or record.get("details", "").split("\n")[0][:120]
    ids = [record["id"], *record.get("aliases", ())]
    return {"package": name, "ids": ids, "affected": found, "fixed": fixed[-1] if fixed else None, "about": about}


def _specifiers(events: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """Events of one range, in their order, as version specifiers."""
    since = "0"
    is_open = False
    for event in events:
        if "introduced" in event:
            since, is_open = event["introduced"], True
        elif "fixed" in event or "last_affected" in event:
            end = f"<{event['fixed']}" if "fixed" in event else f"<={event['last_affected']}"
            yield end if since == "0" else f">={since},{end}"
            is_open = False
    if is_open:
        yield f">={since}"


def renewed(names: Iterable[str]) -> list[Advisory]:
    """What osv.dev knows of these packages today, each advisory once."""
    found: dict[str, Advisory] = {}
    for name in sorted(names):
        body = json.dumps({"package": {"name": name, "ecosystem": "PyPI"}}).encode()
        request = urllib.request.Request(OSV, body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  (always that one address)
            records = json.load(answer).get("vulns", ())
        for record in records:
            if (one := from_osv(name, record)) is not None:
                found.setdefault(f"{name} {min(one['ids'])}", one)
    return list(found.values())


def renew(place: Path, versions: Iterable[str], today: date) -> None:
    """Write the file anew. What was accepted stays accepted."""
    accepted = json.loads(place.read_text()).get("accepted", {})
    kept = {"date": today.isoformat(), "accepted": accepted, "advisories": renewed(versions)}
    place.write_text(json.dumps(kept, indent=1) + "\n")


def told(kept: Mapping[str, Any], versions: Mapping[str, Version], bounds: Iterable[Requirement]) -> list[str]:
    """A line for each hit that nobody has accepted."""
    accepted = kept.get("accepted", {})
    let_in = [(canonicalize_name(one.name), bound) for one in bounds if (bound := lowest(one)) is not None]
    lines = {
        f"{name} {version} ({what}): {' '.join(one['ids'])}; fixed in {one['fixed'] or 'nothing yet'}"
        for what, asked in (("installed", versions.items()), ("let in by pyproject.toml", let_in))
        for name, version, one in hits(asked, kept["advisories"])
        if accepted.keys().isdisjoint(one["ids"])
    }
    return sorted(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--renew", action="store_true", help="write advisories.json anew, from osv.dev")
    parser.add_argument("--advisories", type=Path, default=HERE / "advisories.json")
    options = parser.parse_args()
    versions, today = installed(), datetime.now(UTC).date()
    if options.renew:
        renew(options.advisories, versions, today)
    kept = json.loads(options.advisories.read_text())
    if (days := age(kept, today)) > OLD_AFTER:
        print(f"audit: the advisories are {days} days old; renew them: python .ci/audit.py --renew", file=sys.stderr)
    found = told(kept, versions, required(tomllib.loads((HERE.parent / "pyproject.toml").read_text())))
    print("".join(f"{line}\n" for line in found), end="")
    print(f"audit: {len(versions)} packages, {len(kept['advisories'])} advisories of {kept['date']}: {len(found)} hits")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
