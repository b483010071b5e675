"""What usage.py says of the client's types is so, by the strict type checker."""

import sys
from pathlib import Path
from subprocess import run

import pytest

ROOT = Path(__file__).parents[2]


def test_the_client_has_the_types_that_its_usage_says():
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "tests/typing/usage.py"]
    checked = run(command, cwd=ROOT, capture_output=True, text=True)
    assert (checked.stdout, checked.returncode) == ("", 0), checked.stderr
