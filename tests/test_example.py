"""The example starts, shows lines that work as printed, and leaves nothing behind; a second start loads nothing twice."""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from queue import Empty, Queue
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.mongo
RUN = Path(__file__).parent.parent / "examples" / "company" / "run.py"
PATIENCE = 30.0  # seconds for the words of welcome
LAST = "Ctrl-C ends"


class Example:
    """A running example: its process, and all it printed up to its last line."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        outside = {name: value for name, value in os.environ.items() if name not in ("MONGODB_URI", "SERVER_PORT")}
        self.child = subprocess.Popen(
            [sys.executable, RUN, *arguments],
            cwd=folder,
            env=outside,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: Queue[str] = Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self.text = ""

    def _listen(self) -> None:
        for line in self.child.stdout or ():
            self._lines.put(line)
        self._lines.put("")

    def welcome(self) -> str:
        while LAST not in self.text:
            try:
                line = self._lines.get(timeout=PATIENCE)
            except Empty:
                pytest.fail(f"silent after: {self.text}")
            if not line:
                pytest.fail(f"ended with {self.child.wait(5)}: {self.text}{self.child.stderr.read()}")
            self.text += line
        return self.text

    @property
    def script(self) -> str:
        """What a person is told to paste."""
        return self.text[self.text.index("\nAT=") : self.text.index(LAST)]

    def end(self, sent: signal.Signals = signal.SIGTERM) -> int:
        if self.child.poll() is None:
            self.child.send_signal(sent)
        try:
            return self.child.wait(25)
        finally:
            self.child.kill()
            for stream in (self.child.stdout, self.child.stderr):
                stream.close()


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[Example]:
    example = Example(folder, *arguments)
    try:
        example.welcome()
        yield example
    finally:
        example.end()


def pasted(script: str) -> list[object]:
    """The answers to the pasted lines, by a shell and curl; where there is no curl, by this test's own client."""
    if shutil.which("curl") and shutil.which("sed"):
        done = subprocess.run(["sh"], input=script, capture_output=True, text=True, timeout=20)
        assert (done.returncode, done.stderr) == (0, "")
        return [json.loads(line) for line in done.stdout.splitlines()]
    return list(answers_without_curl(script.replace("\\\n", "")))


def answers_without_curl(script: str) -> Iterator[object]:
    names = dict(re.findall(r"^([A-Z]+)=(\S+)$", script, re.MULTILINE))
    for line in re.findall(r"^(?:GONE=\$\()?curl (.*?)(?:\); echo .*)?$", script, re.MULTILINE):
        undone = re.sub(r"\$\(echo .*?\)/undo", "$BATCH/undo", line)
        words = shlex.split(re.sub(r"\$([A-Z]+)", lambda found: names[found[1]], undone))
        options = {"-X": ["GET"], "-d": [None], "-H": []}
        for flag, value in pairwise(words):
            if flag in options:
                options[flag] = [*options[flag], value]
        url = urlsplit(next(word for word in words if word.startswith("http")))
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=20)
        path = f"{url.path}?{url.query}" if url.query else url.path
        headers = dict(header.split(": ", 1) for header in options["-H"])
        connection.request(options["-X"][-1], path, options["-d"][-1], headers)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        if "deleted" in answer:
            names["BATCH"] = answer["batch"]
        yield answer


def processes_of(folder: Path) -> list[str]:
    """The command lines of all processes that name the folder or work in it."""
    if not sys.platform.startswith("linux"):
        return []
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in command or os.readlink(process / "cwd") == str(folder):
                found.append(command)
        except OSError:
            continue
    return found


def nothing_is_left(folder: Path) -> bool:
    deadline = time.monotonic() + 5
    while processes_of(folder) and time.monotonic() < deadline:
        time.sleep(0.02)
    return processes_of(folder) == []


def expect_the_story(answers: list[object]) -> None:
    seen, colleague, deleted, undone, versions = answers
    assert [one["_id"] for one in seen["data"]] == ["doc-0002", "doc-0004"]
    assert {one["status"] for one in seen["data"]} == {"published"}
    assert "budget" not in seen["data"][0]
    assert colleague == {
        "_id": "mia",
        "_version": 1,
        "name": "Mia",
        "email": "m***@acme.example",
        "department": "sales",
    }
    assert deleted == {"deleted": 2, "missing": ["doc-0501", "globex-0001", "doc-9999"], "batch": deleted["batch"]}
    assert undone == {"restored": 2, "failed": [], "batch": undone["batch"]}
    assert [one["action"] for one in versions[:2]] == ["restore", "delete"]
    assert {one["updated_by"] for one in versions} == {"alice"}
    assert all(one["updated_at"] for one in versions)
    assert versions[0]["batch"] == undone["batch"]
    assert (versions[1]["change_reason"], versions[1]["batch"]) == ("spring cleaning", deleted["batch"])


def expect_managers_orders(script: str) -> None:
    """Those of whom mia manages, and not her own alone or everybody's."""
    named = "\n".join(re.findall(r"^[A-Z]+=\S+$", script, re.MULTILINE))
    [page] = answers_without_curl(f'{named}\ncurl "$AT/orders?_limit=500" -H "Authorization: Bearer $MIA"')
    others = [one for one in page["data"] if one["owner_id"] != "mia"]
    assert {one["owner_id"] for one in others} == {"alice", "bob"}
    assert "shipped" not in {one["status"] for one in others}


def test_the_printed_lines_work_and_a_second_start_goes_on_with_the_same_data(tmp_path):
    with running(tmp_path, "--port", "0") as first:
        assert re.search(r"[\d,]{5,} documents loaded through the gateway", first.text)
        assert len(first.text.splitlines()) < 40
        if sys.platform.startswith("linux"):
            assert len(processes_of(tmp_path)) >= 3  # the example, the gateway, MongoDB
        expect_the_story(pasted(first.script))
        expect_managers_orders(first.script)
        assert first.end() == 0
    assert nothing_is_left(tmp_path)
    with running(tmp_path, "--port", "0") as second:
        assert "on the data of an earlier start" in second.text
        answers = pasted(second.script)
        expect_the_story(answers)
        assert [one["version"] for one in answers[-1]] == [5, 4, 3, 2, 1]
        expect_the_story(list(answers_without_curl(second.script.replace("\\\n", ""))))
        assert second.end(signal.SIGINT) == 0
    assert nothing_is_left(tmp_path)


def test_a_gateway_that_cannot_start_says_why_and_its_exit_code_is_kept(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        example = Example(tmp_path, "--port", str(taken.getsockname()[1]))
        assert example.child.wait(PATIENCE) == 3
        assert "choose another with --port" in example.child.stderr.read()
        example.end()
    assert nothing_is_left(tmp_path)


def test_a_broken_configuration_is_told_by_its_places(tmp_path):
    (tmp_path / "config.yaml").write_text("servers: {}\n")
    example = Example(tmp_path, "--config", str(tmp_path))
    assert example.child.wait(PATIENCE) == 1
    assert "config.yaml:1:1: unknown key 'servers'" in example.child.stderr.read()
    example.end()


@pytest.mark.skipif(sys.platform != "linux", reason="a parent's death is a signal on Linux only")
def test_a_killed_example_takes_the_gateway_and_its_mongodb_along(tmp_path):
    example = Example(tmp_path, "--port", "0")
    example.welcome()
    assert example.end(signal.SIGKILL) == -signal.SIGKILL
    assert nothing_is_left(tmp_path)
