"""Gateways that are killed while others seal: the audit fits its seals, and another one goes on."""

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from uuid import uuid4

import pymongo
import pytest

from tests.faults.processes import ROOT, Asked, a_gateway_process, write_config

pytestmark = [pytest.mark.mongo, pytest.mark.faults]


def audit(folder, uri, *words):
    command = [sys.executable, "-m", "permission_mongo", "audit", *words, "--config", str(folder), "--uri", uri]
    known = {**os.environ, "MONGODB_URI": "mongodb://127.0.0.1:1"}  # the option comes first
    done = subprocess.run(command, cwd=ROOT, env=known, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_after_kills_at_any_moment_the_audit_fits_its_seals(mongo_uri, tmp_path):
    """Two gateways write and one of them seals; each is killed in turn, and started again."""
    name = f"test_{uuid4().hex[:12]}"
    folder = write_config(tmp_path / "config", name)
    with pymongo.MongoClient(mongo_uri, w="majority") as client, ExitStack() as stack:
        stack.callback(client.drop_database, name)
        for round_ in range(2):
            with a_gateway_process(folder, mongo_uri) as one, a_gateway_process(folder, mongo_uri) as other:
                one.wait()
                other.wait()
                for n in range(20):
                    for gateway in (one, other):
                        gateway.ask("POST", "/notes", {"title": f"note {round_} {n}"})
                    gateway.ask("GET", "/notes/absent")
                    time.sleep(0.05)
                last = Asked(one, {"documents": [{"title": "x"}] * 200}, ("POST", "/notes/batch"))
                time.sleep(0.02)
                (one if round_ % 2 else other).kill()
                last.end()
                time.sleep(0.3)
                (other if round_ % 2 else one).kill()
        with a_gateway_process(folder, mongo_uri) as one:
            one.wait()
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                code, told, errors = audit(folder, mongo_uri, "verify")
                assert (code, errors) == (0, ""), told
                if "not sealed yet" not in told:
                    break
                time.sleep(3)
            else:
                pytest.fail(told)
            sealed = sum(len(seal["ids"]) // 12 for seal in client[name]["_pm_audit_seals"].find())
            assert sealed == client[name]["_pm_audit"].count_documents({}) >= 80
            code, heads, _ = audit(folder, mongo_uri, "head", "--json")
            (tmp_path / "heads.json").write_text(heads)
            assert audit(folder, mongo_uri, "verify", "--head", str(tmp_path / "heads.json"))[0] == 0
        victim = client[name]["_pm_audit"].find_one({"action": "create"})
        client[name]["_pm_audit"].update_one({"_id": victim["_id"]}, {"$set": {"user_id": "mallory"}})
        code, told, _ = audit(folder, mongo_uri, "verify")
        assert code == 1
        assert f"acme: changed: entry {victim['_id']}" in told
        code, told, _ = audit(folder, mongo_uri, "verify", "--json", "--tenant", "acme")
        assert (code, told.count('"changed"')) == (1, 1)
        client[name]["_pm_audit_seals"].delete_many({"at": {"$gte": victim["at"]}})
        assert "cut" in audit(folder, mongo_uri, "verify", "--head", str(tmp_path / "heads.json"))[1]
        assert audit(folder, mongo_uri, "list", "--limit", "3")[1].count("\n") == 3
        assert audit(folder, mongo_uri, "export", "--tenant", "acme")[1].count("\n") >= 80
        assert audit(folder, mongo_uri, "verify", "--head", "nowhere.json")[0] == 3
        assert audit(folder, mongo_uri, "list", "--from", "yesterday")[0] == 3
