"""Every command of a page is run as it is printed, or stands below with the reason why it is not."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from uuid import uuid4

import pymongo
import pytest

from permission_mongo.cli.main import main
from tests.pages import ROOT, Block, blocks, name_of, pages

# Whole pages, block after block in one shell, each block's output held to the block that follows it.
STORIES = ("docs/tutorial.md",)
# Pages whose commands stand by themselves, each run on a copy of config/.
SINGLE = ("docs/linting.md",)
# Its one command is run with the document that the page tells of.
EXPLAIN = "docs/explain.md"
NOT_HERE = {
    "make run": "tests/test_example.py runs what it runs, examples/company/run.py",
    "make test": "it is this run",
    ". .venv/bin/activate": "the tests' own environment stands in for it",
    "pip install 'permission-mongo[tracing]'": "needs a package index",
    "pip install 'permission-mongo[client]'": "needs a package index",
    "mongodump": "MongoDB's own tools are not installed with the gateway",
    "mongorestore": "the same",
    ".venv/bin/python .ci/audit.py --renew": "asks osv.dev",
    ".venv/bin/python -m pip install pip-audit": "needs a package index",
    "permission-mongo policy diff main/config config --uri mongodb://127.0.0.1/company": "below, without the live data",
}
PORT = "8090"


def is_told_elsewhere(command: str) -> bool:
    """Examples are run by tests/examples."""
    return command.startswith("make example NAME=") or any(command.startswith(one) for one in NOT_HERE)


def test_every_command_is_run_or_says_why_not():
    left = {
        f"{name_of(page)}: {command}"
        for page in pages()
        if name_of(page) not in (*STORIES, *SINGLE, EXPLAIN, "README.md")
        for block in blocks(page)
        for command in block.commands
        if not is_told_elsewhere(command)
    }
    assert left == set()


def test_the_readme_has_no_commands_but_those_that_its_own_test_pastes():
    first, *others = [block for block in blocks(ROOT / "README.md") if block.commands]
    assert all(is_told_elsewhere(command) for command in first.commands)
    assert all("$AT" in command for block in others for command in block.commands)


def test_no_reason_outlives_its_command():
    commands = [command for page in pages() for block in blocks(page) for command in block.commands]
    assert [one for one in NOT_HERE if not any(command.startswith(one) for command in commands)] == []


# -- commands that stand by themselves


@pytest.mark.mongo
@pytest.mark.parametrize("name", SINGLE)
def test_the_commands_of_a_page_do_what_they_say(name, tmp_path, monkeypatch, capsys, mongo_uri):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    commands = [command for block in blocks(ROOT / name) for command in block.commands]
    assert commands
    for command in commands:
        words = shlex.split(command.replace("mongodb://...", mongo_uri), comments=True)
        assert words[0] == "permission-mongo"
        assert main(words[1:]) == 0, command
    assert "fine" in capsys.readouterr().out


@pytest.mark.mongo
def test_the_explanation_that_is_shown_is_what_is_printed(tmp_path, monkeypatch, capsys, mongo_uri):
    [block] = [block for block in blocks(ROOT / EXPLAIN) if block.commands]
    command, shown = block.text.split("\n", 1)
    name = f"explained_{uuid4().hex[:12]}"
    monkeypatch.setenv("MONGODB_URI", mongo_uri)
    monkeypatch.setenv("MONGODB_DATABASE", name)
    shutil.copytree(ROOT / "config", tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    plan = {"_id": "plan", "tenant_id": "acme", "owner_id": "ann", "title": "Plan", "department": "sales"}
    with pymongo.MongoClient(mongo_uri) as client:
        client[name].documents.insert_one({**plan, "status": "draft", "legal_hold": True})
        code = main(shlex.split(command)[2:])
        client.drop_database(name)
    assert code == 1
    printed = capsys.readouterr().out
    assert is_shown(printed, shown), printed


def test_the_difference_that_is_shown_is_what_is_printed(tmp_path, monkeypatch, capsys):
    """Its part by the rules: on live data it depends on the data."""
    [shown] = [block.text for block in blocks(ROOT / "docs/policy-diff.md") if block.commands]
    for name in ("main/config", "config"):
        shutil.copytree(ROOT / "config", tmp_path / name)
    (tmp_path / "config" / "policy_tests.yml").unlink()
    policy = tmp_path / "config" / "policy.yml"
    text = policy.read_text()
    held = "      - {effect: deny, actions: [delete], when: resource.legal_hold == true}\n"
    changed = (
        text.replace(held, "")
        .replace(", mask: {email: email}", "")
        .replace("status, tags, owner_id", "status, owner_id")
    )
    assert len(text) - len(changed) == len(held) + len(", mask: {email: email}") + len("tags, ")
    policy.write_text(changed)
    monkeypatch.chdir(tmp_path)
    assert main(["policy", "diff", "main/config", "config"]) == 0
    printed = capsys.readouterr().out
    expected = shown.split("\n", 1)[1].split("on live data")[0]
    assert is_shown(printed, expected), printed


# -- whole pages


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def script_of(steps: list[Block], port: str) -> str:
    """The blocks as one script, which says where each begins, and ends what it has put into the background."""
    lines = ["SERVED=", "trap 'test -z \"$SERVED\" || { kill $SERVED; wait $SERVED; }' EXIT"]
    for number, step in enumerate(steps):
        lines.append(f"echo '@@ {number}'")
        for command in step.commands:
            if is_told_elsewhere(command):
                continue
            if command.startswith("permission-mongo serve"):
                lines += [f"{command} > served.log 2>&1 &", "SERVED=$!"]
                lines.append(
                    f"until curl -so served.json http://127.0.0.1:{PORT}/ready; do sleep 0.1; kill -0 $SERVED || exit 1; done"
                )
            else:
                lines.append(command)
    return "\n".join(lines).replace(PORT, port)


def is_shown(printed: str, expected: str) -> bool:
    """Whether it is what stands there; `...` stands for anything, and a line of it for any lines."""
    pattern = re.escape(expected.strip()).replace(re.escape("..."), ".*")
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


@pytest.fixture
def shell(tmp_path):
    """A folder to work in, and an environment in which `permission-mongo` is this one."""
    programs = tmp_path / "bin"
    programs.mkdir()
    command = programs / "permission-mongo"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m permission_mongo "$@"\n')
    command.chmod(0o755)
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MONGODB_", "SERVER_"))}
    place = tmp_path / "work"
    place.mkdir()
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return place, {**outside, "PATH": path, "PYTHONPATH": str(ROOT)}


@pytest.mark.mongo
@pytest.mark.skipif(shutil.which("curl") is None, reason="the pages use curl")
@pytest.mark.parametrize("name", STORIES)
def test_a_page_works_from_its_first_block_to_its_last(name, shell):
    place, environment = shell
    page = blocks(ROOT / name)
    steps = [number for number, block in enumerate(page) if block.language == "sh"]
    script = script_of([page[number] for number in steps], free_port())
    done = subprocess.run(
        ["sh", "-e"],
        input=script,
        cwd=place,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stdout
    printed = re.split(r"^@@ \d+\n", done.stdout, flags=re.MULTILINE)[1:]
    assert len(printed) == len(steps)
    for number, said in zip(steps, printed, strict=True):
        following = page[number + 1] if number + 1 < len(page) else None
        expected = following.text if following and following.language != "sh" else ""
        assert is_shown(said, expected), f"after {page[number].text}\nprinted: {said}\nexpected: {expected}"


def test_what_stands_below_a_block_is_compared():
    assert is_shown('{"at": "2026"}\n', '{"at": "..."}')
    assert not is_shown('{"at": "2026"} more', '{"at": "2026"}')
    assert not is_shown("", "something")
