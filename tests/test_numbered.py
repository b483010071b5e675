"""Every threat to a request or document, every fault that is tried, and every known leak, is shown by a test that bears its number in its name."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
THREATS = {
    "T1": "a token without an algorithm, or of another family than the keys in force",
    "T2": "a key chosen or fetched by what stands in the token",
    "T3": "a token without end, past its end, before its time, or for somebody else",
    "T4": "credentials that are malformed, huge, given twice, or not to be understood",
    "T5": "a key that was taken out of force, and is still taken",
    "T6": "API keys that can be guessed, measured, or read out of the database",
    "T7": "a claim that is read as more than a value",
    "T8": "operators smuggled in through JSON, parameter names or repeated parameters",
    "T9": "code, whole-document variables and writing stages asked for by a caller",
    "T10": "a projection that renames or computes instead of naming fields",
    "T11": "a hidden or masked field told by what a request on it answers",
    "T12": "the caller's conditions overriding or widening those of the policy",
    "T13": "patterns that backtrack until the limit",
    "T14": "requests of unbounded depth, branches, lists or sort keys",
    "T15": "a query or server that hangs",
    "T16": "answers and bodies that fill the memory",
    "T17": "a JSON key given twice, of which one is silently lost",
    "T18": "numbers and texts that JSON can write and MongoDB can't keep",
    "T19": "nesting that can be read and not written again",
    "T20": "NUL in a key, name, value or pattern",
    "T21": "field names that no path can address",
    "T22": "ids of another type than the declared one, and changed ids",
    "T23": "bodies larger than the limit, or not as long as they say, or compressed",
    "T24": "assignment of tenant, owner, maker or version by the caller",
    "T25": "another tenant's id told apart from one that does not exist",
    "T26": "paths and names that lead around the declared collections",
    "T27": "a cursor that is forged, moved, kept, or goes on with rights that have gone",
    "T28": "bytes that two servers read as different requests, and headers that tell of another caller",
    "T29": "connections that are slow, silent, or too many",
    "T30": "a hook made to call the gateway's own machine or network, or a call that nobody can tell from a forged one",
    "T31": "files that are read as something else than they say",
    "T32": "a secret or a value of a document in logs, errors, metrics or traces",
    "T33": "methods and headers that no route meant, a log that a caller writes lines into, more requests than are to be",
    "T34": "a policy that allows by what it leaves out or gets wrong",
    "T35": "an old state, an undo, a restore or a replay shown to a stranger or a caller whose rights shrank",
    "T36": "a revoked token or key that is still taken, or whose job goes on",
}
# Threats that each feature meets anew, with the file whose tests show that it does not give in.
BY_FEATURE = {
    ("T35", "jobs"): "test_jobs",
    ("T35", "versions, told and shown"): "test_versions",
    ("T35", "one version"): "test_version",
    ("T35", "the difference of two"): "test_diff",
    ("T35", "undo of deletions"): "test_undo",
    ("T35", "undo of changes"): "test_undo_updates",
    ("T35", "restore"): "test_restore",
    ("T35", "deleted documents"): "test_deleted",
    ("T35", "as-of reads"): "test_as_of",
    ("T35", "replays"): "test_idempotency",
    ("T36", "keys"): "test_api_keys",
    ("T36", "jobs"): "test_jobs",
}
FAULTS = {
    "F1": "a gateway killed in the middle of a batch",
    "F2": "the primary killed under writers",
    "F3": "the primary stepping down under writers",
    "F4": "answers lost, servers out of place, servers that are slow",
    "F5": "a path to MongoDB that is slow, or silent, and heals",
    "F6": "all connections taken",
    "F7": "a query without end, a server that hangs",
    "F8": "a full disk",
    "F9": "the policy's files changed under requests, half of them broken",
    "F10": "the gateway told to end under load",
    "F11": "a caller who leaves in the middle of a batch",
    "F12": "two gateways racing on one document",
    "F13": "the embedded server killed",
    "F14": "a writer beside the gateway",
    "F15": "a receiver of hooks that is away while the gateway is killed",
}
LEAKS = {
    "A1": "a filter on a hidden field, guessed value by value",
    "A2": "a hidden field inside logic or elements of a filter",
    "A3": "a dotted path into a hidden object",
    "A4": "the order of rows by a hidden field",
    "A5": "a search parameter that covers hidden fields",
    "A6": "a hidden field under another name",
    "A7": "an unknown parameter that reaches the query",
    "A8": "an aggregate over hidden fields or rows",
    "A9": "a count or join that takes more than it should",
    "A10": "a relation followed into what is hidden",
    "A11": "a change told to who may not see the document",
    "A12": "a side endpoint that shows more than the main one",
    "A13": "a claim that is not there and matches everything",
    "A14": "a value that turns into an operator",
    "A15": "a taken unique value that tells of a hidden row",
    "A16": "a document moved to another owner or tenant",
    "A17": "a false or empty value taken for none",
    "A18": "nested operators or patterns that cost too much",
    "A19": "statistics, plans and hints that count hidden rows",
    "A20": "a decision remembered for one caller and used for another",
}


def numbers_in(name: str) -> set[str]:
    """`test_t8_A9_x` -> T8 and A9: only whole words between underscores count."""
    return {word.upper() for word in name.split("_") if re.fullmatch(r"[AFTaft]\d+", word)}


def names_of_tests() -> list[tuple[str, str]]:
    """The file and the name of every test function of the suite, wherever it stands."""
    return [
        (path.stem, node.name)
        for path in sorted(ROOT.rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]


@pytest.fixture(scope="module")
def places() -> set[tuple[str, str]]:
    """Each number with each file in which a test bears it."""
    return {(number, file) for file, name in names_of_tests() for number in numbers_in(name)}


@pytest.mark.parametrize("number", [*THREATS, *FAULTS, *LEAKS])
def test_each_number_stands_in_the_name_of_a_test(places, number):
    shown = {one for one, _ in places}
    assert number in shown, f"no test bears {number}: {(THREATS | FAULTS | LEAKS)[number]}"


@pytest.mark.parametrize(("number", "feature"), BY_FEATURE)
def test_each_feature_that_a_threat_meets_has_a_test_of_it(places, number, feature):
    file = BY_FEATURE[number, feature]
    assert (number, file) in places, f"no test of {file} bears {number} for {feature}: {THREATS[number]}"


def test_the_table_is_whole():
    assert list(THREATS) == [f"T{n}" for n in range(1, 37)]
    assert list(FAULTS) == [f"F{n}" for n in range(1, 16)]
    assert list(LEAKS) == [f"A{n}" for n in range(1, 21)]


def test_only_whole_words_count_as_numbers():
    assert numbers_in("test_t17_A3_keys_t2x_at3_a_4_T250_f1") == {"T17", "A3", "T250", "F1"}


def test_each_fault_has_a_control_that_it_catches():
    """A look that never finds anything may look at nothing."""
    numbers = {number for _, name in names_of_tests() if "control" in name for number in numbers_in(name)}
    # F3 is looked at as F2 is. F9 and F10 count answers: one that was let through, or is wanting, is seen by itself.
    assert set(FAULTS) - {"F3", "F9", "F10"} <= numbers
