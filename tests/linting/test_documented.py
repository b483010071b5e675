"""Every code is on the page, and no other."""

import ast
import re
from pathlib import Path

from permission_mongo.config.codes import LOAD_CODES
from permission_mongo.linting.planner import CODE
from permission_mongo.linting.table import LINTS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "linting.md").read_text()


def codes_in(folder: str) -> set[str]:
    """The literal codes that are given in the source."""
    found: set[str] = set()
    for path in (ROOT / "permission_mongo" / folder).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "code" and path.name != "codes.py":
                found |= {one.value for one in ast.walk(node.value) if isinstance(one, ast.Constant) and one.value}
    return {one for one in found if isinstance(one, str) and one != "tenant_field"}


def test_every_code_of_the_readers_is_in_their_table_and_no_other():
    chosen = {"invalid", "bad-expression", "type-clash", "unknown-field", "no-hierarchy"}
    assert codes_in("config") | codes_in("trials") | chosen == set(LOAD_CODES)


def test_every_code_of_the_readers_is_documented():
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (.+) \|$", PAGE, re.MULTILINE))
    assert rows == dict(LOAD_CODES)


def test_every_lint_is_documented_and_no_other():
    assert set(re.findall(r"^### `([\w-]+)`$", PAGE, re.MULTILINE)) == {*(one.code for one in LINTS), CODE}


def test_every_lint_says_what_it_is_about():
    assert all(one.about and one.look.__module__.startswith("permission_mongo.linting.") for one in LINTS)
