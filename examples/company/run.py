"""The example company: starts a gateway, loads it through its own HTTP API (once), and says what to try.

`make run`, or `python examples/company/run.py`; further arguments go to `permission-mongo serve`.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from examples.running import (
    HOURS,
    Answer,
    Failed,
    Stopped,
    address_in,
    ask,
    end,
    first_words,
    is_ready,
    let_it_talk,
    start,
    stop_at_signals,
)
from permission_mongo.auth.development import make_token
from permission_mongo.cli.credentials import with_secret
from permission_mongo.config.load import load_config
from permission_mongo.config.model import Auth

CONFIG = Path(__file__).parents[2] / "config"
SEED = 1

# name: (tenant, role, department)
PEOPLE = {
    "alice": ("acme", "user", "sales"),
    "bob": ("acme", "user", "sales"),
    "carol": ("acme", "user", "engineering"),
    "dan": ("acme", "user", "legal"),
    "mia": ("acme", "manager", "sales"),
    "victor": ("acme", "viewer", "sales"),
    "ada": ("acme", "admin", "legal"),
    "gus": ("globex", "user", "engineering"),
    "gina": ("globex", "admin", "engineering"),
}
MANAGERS = {"alice": "mia", "bob": "mia", "mia": "ada", "carol": "ada", "dan": "ada", "victor": "ada", "gus": "gina"}
# name: (the first letters of the ids, the first number, how many documents, how many orders)
OWNERS = {
    "alice": ("doc", 1, 500, 200),
    "bob": ("doc", 501, 500, 200),
    "carol": ("doc", 1001, 500, 200),
    "dan": ("doc", 1501, 300, 100),
    "mia": ("doc", 1801, 200, 100),
    "gus": ("globex", 1, 500, 200),
}
SHOWN = ("alice", "mia", "victor", "ada")
STATUSES = ("draft", "published", "archived", "published")
CUSTOMERS = ("Northwind", "Contoso", "Initech", "Umbrella", "Hooli", "Stark", "Wayne", "Tyrell")
KINDS = ("Offer", "Contract", "Minutes", "Plan", "Report", "Memo")
TAGS = ("2026", "draft-2", "signed", "urgent", "internal")

# What to try, as a person would paste it; README.md shows the same lines.
TRY = r"""
# a viewer: published documents of acme, and six fields of each
curl -sw '\n' "$AT/documents?_limit=2" -H "Authorization: Bearer $VICTOR"

# a colleague: the e-mail masked, no salary, no address
curl -sw '\n' "$AT/users/mia" -H "Authorization: Bearer $VICTOR"

# alice deletes five: two are hers; a draft of bob, one of another tenant and one that never was are told alike
GONE=$(curl -s -X DELETE "$AT/documents/batch" -H "Authorization: Bearer $ALICE" -H 'Content-Type: application/json' \
  -d '{"ids": ["doc-0001", "doc-0002", "doc-0501", "globex-0001", "doc-9999"], "reason": "spring cleaning"}'); echo "$GONE"

# alice takes it back; then who did what, when and why
curl -sw '\n' -X POST "$AT/documents/batch/$(echo "$GONE" | sed 's/.*"batch":"//; s/".*//')/undo" \
  -H "Authorization: Bearer $ALICE"
curl -sw '\n' "$AT/documents/doc-0001/versions" -H "Authorization: Bearer $ALICE"
"""  # noqa: E501  (a line to paste is one line)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Start the example company.", add_help=False)
    parser.add_argument("--config", type=Path, default=CONFIG)
    options, passed = parser.parse_known_args(arguments)
    stop_at_signals()
    child = start(options.config, passed)
    try:
        return follow(child, options.config)
    except Stopped:
        return 0
    except Failed as error:
        print(f"the example can't be shown: {error}", file=sys.stderr)
        return 1
    finally:
        end(child)


def follow(child: subprocess.Popen[str], config: Path) -> int:
    """The gateway's exit code, once it has said its own last words."""
    said = list(first_words(child))
    address = address_in(said)
    if address is None or not is_ready(address, child):
        return child.wait()
    let_it_talk(child)
    auth = with_secret(load_config(config)).auth
    tokens = {name: token(name, auth) for name in PEOPLE}
    loaded = load(address, tokens)
    engine = next((line.strip() for line in said if line.startswith("  MongoDB")), "")
    print(words_of_welcome(address, engine, loaded, tokens), flush=True)
    return child.wait()


def token(name: str, auth: Auth) -> str:
    if not auth.secret:
        raise Failed("tokens are made for HS256 only; see auth.algorithm")
    tenant, role, department = PEOPLE[name]
    claims = {"tenant_id": tenant, "department": department}
    return make_token(auth.secret, auth.algorithms[0], name, [role], int(time.time()) + HOURS * 3600, claims)


# -- loading


def load(address: str, tokens: Mapping[str, str]) -> str:
    """Load what is missing, each owner's as one atomic batch. The users come last: they say that all is there."""
    if by(address, tokens["gina"], "GET", "/users/gina").status == 200:
        return "on the data of an earlier start"
    started, chance = time.monotonic(), random.Random(SEED)
    count = 0
    for name, (prefix, first, documents, orders) in OWNERS.items():
        made = [document(f"{prefix}-{first + n:04}", first + n, PEOPLE[name][2], chance) for n in range(documents)]
        count += create(address, "documents", made, f"owner_id={name}", tokens[name])
        made = [order(chance) for _ in range(orders)]
        count += create(address, "orders", made, f"owner_id={name}", tokens[name])
    for admin in ("ada", "gina"):
        tenant = PEOPLE[admin][0]
        made = [user(name, chance) for name, (at, _, _) in PEOPLE.items() if at == tenant]
        count += create(address, "users", made, "", tokens[admin])
    return f"{count:,} documents loaded through the gateway in {time.monotonic() - started:.1f} s"


def create(address: str, collection: str, documents: list[dict[str, Any]], theirs: str, bearer: str) -> int:
    """One batch, unless an earlier start got as far as this: then the owner has documents already."""
    page = by(address, bearer, "GET", f"/{collection}?_limit=1&{theirs}")
    if page.status == 200 and page.body["data"]:
        return 0
    body = {"documents": documents, "atomic": True, "reason": "example"}
    answer = by(address, bearer, "POST", f"/{collection}/batch", body)
    if answer.status != 201:
        raise Failed(f"{collection} could not be loaded: {answer.body['error']['message']}")
    return len(answer.body["created"])


def by(address: str, bearer: str, method: str, path: str, body: object = None) -> Answer:
    return ask(address, method, path, body, {"Authorization": f"Bearer {bearer}"})


def document(name: str, number: int, department: str, chance: random.Random) -> dict[str, Any]:
    customer = chance.choice(CUSTOMERS)
    return {
        "_id": name,
        "title": f"{chance.choice(KINDS)} for {customer}",
        "body": f"What {customer} and we agreed on, point {number}.",
        "department": department,
        "status": STATUSES[(number - 1) % len(STATUSES)],
        "tags": chance.sample(TAGS, 2),
        "budget": chance.randrange(1, 500) * 100,
    }


def order(chance: random.Random) -> dict[str, Any]:
    lines = [{"sku": f"A-{chance.randrange(100, 999)}", "quantity": chance.randrange(1, 9)} for _ in range(2)]
    return {
        "customer": chance.choice(CUSTOMERS),
        "amount": f"{chance.randrange(1000, 900000) / 100:.2f}",
        "status": chance.choice(("open", "open", "shipped", "cancelled")),
        "lines": lines,
        "ordered_at": f"2026-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}T09:00:00Z",
    }


def user(name: str, chance: random.Random) -> dict[str, Any]:
    tenant, _, department = PEOPLE[name]
    return {
        "_id": name,
        "name": name.capitalize(),
        "email": f"{name}@{tenant}.example",
        "department": department,
        **({"manager_id": MANAGERS[name]} if name in MANAGERS else {}),
        "salary": chance.randrange(40, 90) * 1000,
        "address": {"city": chance.choice(("Lyon", "Porto", "Graz")), "street": f"Main Street {chance.randrange(99)}"},
    }


# -- words


def words_of_welcome(address: str, engine: str, loaded: str, tokens: Mapping[str, str]) -> str:
    lines = [f"The example company is at {address}: {loaded}.", re.sub(r"^MongoDB +", "MongoDB ", engine), ""]
    lines += [f"Paste into another terminal; the tokens are good for {HOURS} hours:", "", f"AT={address}"]
    lines += [f"{name.upper()}={tokens[name]}" for name in SHOWN]
    return "\n".join([*lines, TRY, "Ctrl-C ends the gateway and its MongoDB; the data stays."])


if __name__ == "__main__":
    raise SystemExit(main())
