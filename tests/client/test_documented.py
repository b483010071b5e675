"""docs/client.md: its examples run against a gateway, and every public name is in it."""

from __future__ import annotations

import re
import sys
from inspect import signature
from pathlib import Path
from subprocess import run

import pytest

from permission_mongo import client as package
from permission_mongo.client import errors
from tests.client.places import Place

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/client.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.mongo
def test_the_examples_run_one_after_the_other(place: Place, capsys: pytest.CaptureFixture[str]):
    """In a process of their own thread: one of them has an event loop of its own."""
    assert len(EXAMPLES) >= 11
    program = "\n".join([f"address, token = {place.address!r}, {place.token('boss')!r}", *EXAMPLES])
    ended = run([sys.executable, "-W", "error", "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert "The plan" in ended.stdout


def test_every_public_name_is_documented():
    assert [name for name in package.__all__ if not re.search(rf"\b{name}\b", PAGE)] == []


def test_every_method_is_documented():
    methods = {name for kind in (package.Client, package.Collection) for name in vars(kind) if not name.startswith("_")}
    assert [name for name in sorted(methods) if not re.search(rf"\b{name}\b", PAGE)] == []


@pytest.mark.parametrize(
    ("one", "other"), [(package.Client, package.AsyncClient), (package.Collection, package.AsyncCollection)]
)
def test_both_clients_have_the_same_methods_with_the_same_arguments_and_words(one: type, other: type):
    public = [name for name in vars(one) if not name.startswith("_")]
    assert public == [name for name in vars(other) if not name.startswith("_")]
    for name in public:
        here, there = vars(one)[name], vars(other)[name]
        assert here.__doc__ == there.__doc__, name
        if callable(here):
            assert "Call[" not in str(signature(here)), name
            assert list(signature(here).parameters) == list(signature(there).parameters), name
            assert here.__doc__, name


def test_every_error_is_public_and_in_the_table_with_its_place_in_the_tree():
    kinds = {name: one for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, Exception)}
    assert {name for name in kinds if name not in package.__all__} == set()
    rows = re.findall(r"^\| `(\w+)` \|", PAGE.split("\n## Errors\n")[1], re.MULTILINE)
    assert sorted(rows) == sorted(kinds)
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    assert sorted([*drawn, "ClientError"]) == sorted(kinds)


def test_what_is_public_is_there_once():
    assert len({*package.__all__}) == len(package.__all__)
    assert [name for name in package.__all__ if not hasattr(package, name)] == []
