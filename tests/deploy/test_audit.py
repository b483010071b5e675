"""The audit of dependencies: it finds what it must, and the file that it reads is whole."""

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
audit = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(audit)

KEPT = json.loads((ROOT / ".ci" / "advisories.json").read_text())
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
_ID = re.compile(r"GHSA(-\w{4}){3}|CVE-\d{4}-\d{4,}|PYSEC-\d{4}-\d+")
OF_STARLETTE = {"package": "starlette", "ids": ["GHSA-x", "CVE-y"], "affected": [">=1,<1.3.1"], "fixed": "1.3.1"}


def test_what_is_kept_is_whole_and_each_advisory_is_told_once():
    seen = [(one["package"], name) for one in KEPT["advisories"] for name in one["ids"]]
    assert len(seen) == len(set(seen))
    for one in KEPT["advisories"]:
        assert one["ids"]
        assert all(_ID.fullmatch(name) for name in one["ids"]), one
        assert all(SpecifierSet(text) for text in one["affected"]), one
        fixed = one["fixed"]
        assert fixed is None or not any(SpecifierSet(text).contains(fixed) for text in one["affected"]), one
    assert all(reason for reason in KEPT["accepted"].values())


@pytest.mark.parametrize(("version", "found"), [("0.9", 0), ("1.3.0", 1), ("1.3.1", 0), ("1.3.0.post1", 1), ("2.0", 0)])
def test_a_version_within_the_range_is_a_hit(version, found):
    assert len(audit.told({"advisories": [OF_STARLETTE]}, {"starlette": Version(version)}, [])) == found


def test_a_lower_bound_that_lets_one_in_is_a_hit_and_one_that_is_accepted_is_none():
    kept, bounds = {"advisories": [OF_STARLETTE]}, [Requirement("Starlette[full]>=1.2,<2"), Requirement("other")]
    assert [line.split(":")[0] for line in audit.told(kept, {}, bounds)] == ["starlette 1.2 (let in by pyproject.toml)"]
    assert audit.told({**kept, "accepted": {"CVE-y": "nothing of it is used"}}, {}, bounds) == []


def test_a_record_of_osv_is_read_with_all_its_ranges():
    events = [
        {"introduced": "0"},
        {"fixed": "1.2"},
        {"introduced": "2.0"},
        {"last_affected": "2.4"},
        {"introduced": "3.0"},
    ]
    record = {
        "id": "PYSEC-1",
        "aliases": ["CVE-1"],
        "summary": "about",
        "affected": [
            {"package": {"name": "Star_lette"}, "ranges": [{"type": "ECOSYSTEM", "events": events}]},
            {"package": {"name": "other"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]},
            {"package": {"name": "star-lette"}, "ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]},
        ],
    }
    read = audit.from_osv("star-lette", record)
    assert read["affected"] == ["<1.2", ">=2.0,<=2.4", ">=3.0"]
    assert (read["ids"], read["fixed"]) == (["PYSEC-1", "CVE-1"], "1.2")
    assert audit.from_osv("star-lette", {**record, "withdrawn": "2026-01-01"}) is None
    assert audit.from_osv("third", record) is None


def test_the_command_warns_of_an_old_file_and_fails_on_a_hit(tmp_path):
    place = tmp_path / "advisories.json"
    everything = {"package": "starlette", "ids": ["CVE-y"], "affected": [">=0"], "fixed": None}

    def run(**kept):
        place.write_text(json.dumps(kept))
        command = [sys.executable, str(ROOT / ".ci" / "audit.py"), "--advisories", str(place)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    old = run(date="2020-01-01", advisories=[])
    assert (old.returncode, "days old" in old.stderr) == (0, True)
    hit = run(date=date.today().isoformat(), advisories=[everything])  # noqa: DTZ011
    assert (hit.returncode, hit.stderr) == (1, "")
    assert "fixed in nothing yet" in hit.stdout


# -- what the project asks for


@pytest.mark.parametrize("requirement", audit.required(PYPROJECT), ids=str)
def test_each_dependency_has_a_lower_bound(requirement):
    """What `make test-lowest` tries is what is promised."""
    assert audit.lowest(requirement) is not None
