"""What every example needs: a gateway of its own, callers who ask it over HTTP, and an end that leaves nothing behind.

An example says `with an_example(__file__) as gateway:` and tells its story within.
"""

from __future__ import annotations

import argparse
import ctypes
import http.client
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from permission_mongo.auth.development import make_token

HOURS = 12
PATIENCE = 90.0  # seconds until the gateway must be ready; the first start makes the data folder
STOP_PATIENCE = 20.0
WIDTH = 98


class Stopped(Exception):
    """Somebody pressed Ctrl-C or sent a signal."""


class Failed(Exception):
    """The gateway did not do what the example needs."""


# -- the gateway's process


def stop(*_: object) -> NoReturn:
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # once is enough: the end must not be cut short
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    raise Stopped


def stop_at_signals() -> None:
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), stop)


def end_with_parent() -> None:
    """In the child: SIGTERM when this process is killed and can't send it any more (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def start(config: Path, words: Sequence[str] = (), **how: Any) -> subprocess.Popen[str]:
    """`permission-mongo serve`, in a session of its own: Ctrl-C reaches this process only, which ends it in order.

    `how` has further arguments of Popen: the working directory, the environment, where its log goes.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "permission_mongo", "serve", "--config", config, *words],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=end_with_parent if sys.platform == "linux" else None,
        **how,
    )


def end(child: subprocess.Popen[str]) -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def first_words(child: subprocess.Popen[str]) -> Iterator[str]:
    """What the gateway prints until it has said where it listens and on what."""
    for line in child.stdout or ():
        yield line
        if line.startswith("  MongoDB"):
            return


def address_in(said: Sequence[str]) -> str | None:
    return next((words[1] for line in said if len(words := line.split()) == 2 and words[0] == "at"), None)


def let_it_talk(child: subprocess.Popen[str]) -> None:
    """Read on and drop it: a full pipe would stop the gateway."""
    threading.Thread(target=lambda: list(child.stdout or ()), daemon=True).start()


def is_ready(address: str, child: subprocess.Popen[str]) -> bool:
    """False once the gateway has ended. Failed after too long."""
    deadline = time.monotonic() + PATIENCE
    while child.poll() is None:
        with suppress(OSError, http.client.HTTPException):
            if ask(address, "GET", "/ready").status == 200:
                return True
        if time.monotonic() > deadline:
            raise Failed(f"the gateway is not ready after {PATIENCE:.0f} s")
        time.sleep(0.05)
    return False


# -- requests


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `body` is the JSON read, None where there was none."""

    status: int
    body: Any
    headers: Mapping[str, str]


def ask(address: str, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    sent = None if body is None else json.dumps(body)
    typed = {} if body is None else {"Content-Type": "application/json"}
    try:
        connection.request(method, path, sent, {**typed, **(headers or {})})
        answer = connection.getresponse()
        text = answer.read()
        return Answer(answer.status, json.loads(text) if text else None, dict(answer.getheaders()))
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody with a credential."""

    name: str
    address: str
    credential: Mapping[str, str] = field(repr=False)

    def ask(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        return ask(self.address, method, path, body, {**self.credential, **(headers or {})})

    def must(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Any:
        """The body of an answer that says it is done. Failed for any other."""
        answer = self.ask(method, path, body, headers)
        if answer.status not in (200, 201):
            raise Failed(f"{method} {path} by {self.name}: {answer.status} {answer.body}")
        return answer.body

    def tells(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Ask, and print what was asked and what came back."""
        answer = self.ask(method, path, body, headers)
        told = [f"{name}: {value}" for name, value in (headers or {}).items()]
        asked = " ".join([f"{self.name}:", method, path, *([] if body is None else [_short(body)]), *told])
        print(_folded(asked, "  ", "      "))
        print(_folded(f"{answer.status} {_short(answer.body)}", "    -> ", "       "))
        return answer


def _short(body: object) -> str:
    return json.dumps(body, ensure_ascii=False)


def _folded(text: str, first: str, further: str) -> str:
    return textwrap.fill(
        text, WIDTH, initial_indent=first, subsequent_indent=further, break_long_words=False, break_on_hyphens=False
    )


def say(text: str) -> None:
    """A sentence of the story, with an empty line before it."""
    print("\n" + _folded(text, "", "  "))


# -- an example


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that runs, with what is needed to make callers of it and to run commands beside it."""

    address: str
    config: Path
    folder: Path
    environment: Mapping[str, str] = field(repr=False)
    secret: str = field(repr=False)

    def caller(self, name: str, *roles: str, **claims: object) -> Caller:
        """Somebody with a token; `claims` such as `tenant_id` and `department` stand in it."""
        expires = int(time.time()) + HOURS * 3600
        token = make_token(self.secret, "HS256", name, roles, expires, claims)
        return Caller(name, self.address, {"Authorization": f"Bearer {token}"})

    def command(self, *words: str) -> str:
        """What `permission-mongo ...` prints, beside this gateway. Failed if it does not end with 0."""
        done = subprocess.run(
            [sys.executable, "-m", "permission_mongo", *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise Failed(f"permission-mongo {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout.strip()


@contextmanager
def an_example(script: str, secret_name: str | None = None) -> Iterator[Gateway]:
    """The gateway of `config/` beside the script, on a free port and an embedded MongoDB; both end, and the data goes.

    `secret_name` is the variable by which the configuration is given the secret of tokens; without it the gateway makes
    one. A MongoDB that the environment names is left alone: examples write.
    """
    options = _options(script)
    stop_at_signals()
    folder = Path(tempfile.mkdtemp(prefix="permission-mongo-example-"))
    settings = {**os.environ, "MONGODB_URI": "embedded"}
    settings.pop("MONGODB_DATABASE", None)
    if secret_name is not None:
        settings[secret_name] = secrets.token_urlsafe(32)
    config = Path(script).resolve().parent / "config"
    words = ["--host", "127.0.0.1", "--port", str(options.port)]
    log = folder / "log"
    with log.open("w") as lines:
        child = start(config, words, cwd=folder, env=settings, stderr=lines)
    try:
        address = address_in(list(first_words(child)))
        if address is None or not is_ready(address, child):
            raise Failed(f"the gateway ended with {child.wait()}\n{log.read_text()}")
        let_it_talk(child)
        made = folder / ".permission-mongo" / "auth-secret"
        secret = settings[secret_name] if secret_name else made.read_text().strip()
        yield Gateway(address, config, folder, settings, secret)
        if options.keep:
            print(f"\nIt is still there, at {address}; Ctrl-C ends it. Its data is in {folder} until then.", flush=True)
            child.wait()
    except Stopped:
        pass
    except Failed as error:
        raise SystemExit(f"the example can't be shown: {error}") from None
    finally:
        end(child)
        shutil.rmtree(folder, ignore_errors=True)


def _options(script: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=script, description="Show an example, then end everything.")
    parser.add_argument("--keep", action="store_true", help="let the gateway run at the end, until Ctrl-C")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    return parser.parse_args()
