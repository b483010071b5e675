"""Each example runs by its own command, ends by itself, leaves nothing, and prints what its page shows."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from permission_mongo.cli.main import main

pytestmark = pytest.mark.mongo
ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
NAMES = (
    "from-atlas-data-api",
    "from-go-gateway",
    "from-mixpeek",
    "from-moorcheh",
    "notes",
    "people",
    "services",
    "shop",
)
PATIENCE = 60.0
# What is another at each run: ids, moments, cursors.
MASKS = (
    (r'"[\w-]{60,}"', '"<cursor>"'),
    (r"\b[0-9a-f]{32}\b", "<batch>"),
    (r"\b(?!0{24})[0-9a-f]{24}\b", "<id>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", "<time>"),
)


def masked(text: str) -> str:
    for pattern, name in MASKS:
        text = re.sub(pattern, name, text)
    return text.strip()


def shown(name: str) -> str:
    """What the page says that the example prints."""
    [block] = re.findall(r"```text\n(.*?)```", (EXAMPLES / name / "README.md").read_text(), re.DOTALL)
    return str(block)


def run(name: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The example on its own, with a folder for what is temporary."""
    own = folder / name
    own.mkdir()
    settings = {**os.environ, "TMPDIR": str(own), "MONGODB_URI": "mongodb://must-not-be-asked.invalid"}
    command = [sys.executable, EXAMPLES / name / "run.py", *words]
    return subprocess.run(command, cwd=own, env=settings, capture_output=True, text=True, timeout=PATIENCE)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Future[subprocess.CompletedProcess[str]]]:
    """All of them, two at a time: each waits for its MongoDB most of the time."""
    folder = tmp_path_factory.mktemp("examples")
    with ThreadPoolExecutor(2) as pool:
        return {name: pool.submit(run, name, folder) for name in NAMES}


def test_no_example_is_forgotten():
    assert {one.parent.name for one in EXAMPLES.glob("*/run.py")} == {*NAMES, "company"}


@pytest.mark.parametrize("name", NAMES)
def test_an_example_prints_what_its_page_shows(runs, name):
    done = runs[name].result()
    assert (done.returncode, done.stderr) == (0, "")
    assert masked(done.stdout) == masked(shown(name))


@pytest.mark.parametrize("name", NAMES)
def test_an_example_leaves_nothing_behind(runs, name, tmp_path_factory):
    runs[name].result()
    assert list((tmp_path_factory.getbasetemp()).glob(f"examples*/{name}/*")) == []


def test_an_example_that_cannot_start_says_why_and_leaves_nothing(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("notes", tmp_path, "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "the example can't be shown" in done.stderr
    assert "choose another with --port" in done.stderr
    assert list((tmp_path / "notes").iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_page_tells_the_command_that_runs_it(name):
    assert f"```sh\nmake example NAME={name}\n```" in (EXAMPLES / name / "README.md").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_the_rules_that_a_page_shows_are_the_examples_own(name):
    page = (EXAMPLES / name / "README.md").read_text()
    policy = (EXAMPLES / name / "config" / "policy.yml").read_text()
    assert all(block in policy for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL))
    assert "(config/policy.yml)" in page


@pytest.mark.parametrize("name", [one for one in NAMES if one != "from-go-gateway"])
def test_an_examples_configuration_has_no_warnings(name, capsys):
    assert main(["check", str(EXAMPLES / name / "config"), "--strict"]) == 0, capsys.readouterr().out


def test_the_go_gateways_files_are_those_that_its_own_tests_load():
    published = ROOT / "tests" / "config" / "go"
    taken = {one.name: one.read_bytes() for one in (EXAMPLES / "from-go-gateway" / "config").iterdir()}
    assert taken == {name: (published / name).read_bytes() for name in taken}
    assert set(taken) == {"config.yaml", "schema.yml", "policy.yml", "hooks.yml"}
