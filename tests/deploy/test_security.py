"""SECURITY.md points at tests that there are."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = re.findall(r"^\| T(\d+) to T(\d+): [^|]*\| ([^|]*) \|$", (ROOT / "SECURITY.md").read_text(), re.MULTILINE)


def test_every_threat_is_in_one_row():
    numbers = [number for first, last, _ in ROWS for number in range(int(first), int(last) + 1)]
    assert numbers == list(range(1, 37))


@pytest.mark.parametrize(("first", "last", "where"), ROWS)
def test_each_number_of_a_row_is_in_the_name_of_a_test_where_it_says(first, last, where):
    folders = [ROOT / name for name in re.findall(r"`([^`]+)`", where)]
    assert all(folder.is_dir() for folder in folders)
    sources = "".join(path.read_text() for folder in folders for path in folder.rglob("test_*.py"))
    carried = {
        int(number) for name in re.findall(r"def (test_\w+)", sources) for number in re.findall(r"_t(\d+)(?=_)", name)
    }
    assert set(range(int(first), int(last) + 1)) <= carried
