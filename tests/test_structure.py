"""The house rules that no linter knows: the size of files and functions, and one casbin."""

import ast
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "permission_mongo").rglob("*.py"))


def test_no_source_file_is_longer_than_400_lines():
    long = {str(path.relative_to(ROOT)): n for path in SOURCES if (n := len(path.read_text().splitlines())) > 400}
    assert long == {}


def test_no_function_is_longer_than_40_lines():
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= 40
    ]
    assert long == []


def test_no_room_is_named_after_nothing():
    vague = {"utils", "helpers", "common", "misc", "core", "models", "services", "handlers"}
    assert [path for path in SOURCES if path.stem in vague or path.parent.name in vague] == []


def test_only_policy_planning_and_plans_know_guarded_filters():
    """Every file is looked at: the list in the import contract can't name a room that is not there yet."""
    makers = (
        "policy/",
        "planning/",
        "plans.py",
        "pasts.py",
        "moments.py",
        "aggregations.py",
        "explanations.py",
        "revisions.py",
    )
    others = [
        name
        for path in SOURCES
        if not (name := path.relative_to(ROOT / "permission_mongo").as_posix()).startswith(makers)
        and any(
            isinstance(node, ast.ImportFrom) and node.module == "permission_mongo.policy.guard"
            for node in ast.walk(ast.parse(path.read_text()))
        )
    ]
    assert others == []


def test_only_pycasbin_fills_the_casbin_folder():
    """Two distributions fill the same folder; together they overwrite each other."""
    assert distribution("pycasbin").version.startswith("2.")
    with pytest.raises(PackageNotFoundError):
        distribution("casbin")
