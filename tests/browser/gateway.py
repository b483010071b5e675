"""A gateway as its own process on a folder that it watches, with a company in it."""

from __future__ import annotations

import json
import os
import re
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.forking import Forked
from tests.http.harness import SECRET, a_token

EXAMPLE = Path(__file__).parents[2] / "config"
PATIENCE = 20.0
NASTY = "<img src=x onerror=alert(1)>"
EDITOR = "  editor: {inherits: [admin], cross_tenant: true, system: [explain, audit, admin, policy_write]}\n"
POLICY = (EXAMPLE / "policy.yml").read_text().replace("\npolicies:", f"{EDITOR}\npolicies:", 1)
TOKEN = a_token("eve", ["editor"], department="sales")
ANN = a_token("ann", ["user"], department="sales")


@dataclass
class Served:
    """Where it listens, and the folder that it watches."""

    address: str
    folder: Path

    def ask(self, method: str, path: str, body: Any = None, token: str = TOKEN, **headers: str) -> Any:
        sent = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(self.address + path, content, sent, method=method)
        with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
            return json.load(answer)


@contextmanager
def serving(folder: Path, uri: str) -> Iterator[Served]:
    database = f"console_{uuid4().hex[:8]}"
    config = (
        f"auth: {{secret: '{SECRET}'}}\nconsole: {{write: true}}\nmongodb: {{database: {database}, min_pool_size: 0}}\n"
    )
    texts = {"config.yaml": config, "policy.yml": POLICY}
    texts |= {name: (EXAMPLE / name).read_text() for name in ("schema.yml", "policy_tests.yml")}
    for name, text in texts.items():
        (folder / name).write_text(text)
    words = ["serve", "--config", str(folder), "--port", "0"]
    environment = {name: value for name, value in os.environ.items() if name != "SERVER_PORT"}
    with (folder / "log").open("w") as log:
        environment["MONGODB_URI"] = uri
        process = Forked("permission_mongo", words, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        yield _once_ready(process, folder)
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _once_ready(process: Forked, folder: Path) -> Served:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        log = (folder / "log").read_text()
        assert process.poll() is None, log
        found = re.search(r"http://127\.0\.0\.1:\d+", log)
        if found:
            served = Served(found[0], folder)
            try:
                served.ask("GET", "/ready")
                return served
            except OSError:
                pass
        time.sleep(0.05)
    raise AssertionError((folder / "log").read_text())


def fill(served: Served) -> None:
    """A small company: drafts of ann's, a document on hold, one with a history, one deleted, one with markup in it."""
    own = {"department": "sales"}
    drafts = [{**own, "_id": f"draft-{n:02}", "title": f"Draft {n}", "budget": 100 * n} for n in range(1, 13)]
    served.ask("POST", "/documents/batch", {"documents": drafts}, ANN)
    served.ask("POST", "/documents", {**own, "_id": "offer", "title": "Offer", "budget": 900, "tags": ["big"]}, ANN)
    steps = ({"title": "Offer to Initech"}, {"budget": 1200, "tags": ["big", "urgent"]}, {"status": "published"})
    for n, step in enumerate(steps):
        served.ask(
            "PATCH", "/documents/offer", step, ANN, X_Change_Reason=("asked by Initech", "new prices", "done")[n]
        )
    served.ask("POST", "/documents", {**own, "_id": "plan", "title": "Lawsuit", "department": "legal"}, ANN)
    served.ask("PATCH", "/documents/plan", {"legal_hold": True})
    served.ask("POST", "/documents", {**own, "_id": "gone", "title": "Minutes"}, ANN)
    served.ask("DELETE", "/documents/gone", token=ANN)
    nasty = {**own, "_id": "nasty", "title": NASTY, "body": NASTY, "tags": [NASTY]}
    served.ask("POST", "/documents", nasty, ANN)
    served.ask("PATCH", "/documents/nasty", {"title": f"{NASTY}!"}, ANN, X_Change_Reason=NASTY)
    people = [
        {"_id": name, "name": name.title(), "email": f"{name}@acme.example", "department": department, "salary": salary}
        for name, department, salary in (("ann", "sales", 5000), ("bob", "legal", 5500), ("mia", "sales", 7000))
    ]
    served.ask("POST", "/users/batch", {"documents": people})
    served.ask("POST", "/orders", {"customer": "Initech", "amount": "12.50"}, ANN)
