"""Two shops on one gateway: a clerk clears old orders away by a filter, disputed ones stay, and all comes back."""

from __future__ import annotations

import random
import time
from typing import Any

from examples.running import Caller, Failed, Gateway, an_example, say

SEED = 3
ORDERS = {"lilac": 3600, "oak": 1200}
CHUNK = 600
CUSTOMERS = ("Northwind", "Contoso", "Initech", "Umbrella", "Hooli", "Stark", "Wayne", "Tyrell")
OLD = {"status": "archived", "ordered_at": {"$lt": "2025-01-01T00:00:00Z"}}
PATIENCE = 30.0


def an_order(number: int, chance: random.Random) -> dict[str, Any]:
    year = chance.choice((2023, 2024, 2025, 2026))
    archived = year < 2025 and chance.random() < 0.8
    return {
        "_id": f"order-{number:05}",
        "customer": chance.choice(CUSTOMERS),
        "status": "archived" if archived else chance.choice(("open", "shipped")),
        "disputed": chance.random() < 0.02,
        "amount": f"{chance.randrange(500, 90000) / 100:.2f}",
        "ordered_at": f"{year}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}T12:00:00Z",
    }


def load(owners: dict[str, Caller]) -> None:
    chance = random.Random(SEED)
    first = 1
    for shop, size in ORDERS.items():
        for start in range(first, first + size, CHUNK):
            orders = [an_order(number, chance) for number in range(start, start + CHUNK)]
            owners[shop].must("POST", "/orders/batch", {"documents": orders, "atomic": True})
        first += size


def count(caller: Caller, filters: object) -> int:
    return int(caller.must("POST", "/orders/count", {"filter": filters})["data"]["count"])


def ended(caller: Caller, job: str) -> dict[str, Any]:
    """The job, once it is over."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found: dict[str, Any] = caller.must("GET", f"/_pm/jobs/{job}")
        if found["state"] not in ("running", "cancelling"):
            return found
        time.sleep(0.05)
    raise Failed(f"the job is not done after {PATIENCE:.0f} s")


def tell(gateway: Gateway) -> None:
    owners = {shop: gateway.caller(f"owner of {shop}", "owner", shop=shop) for shop in ORDERS}
    load(owners)
    clerk = gateway.caller("clerk", "clerk", shop="lilac")
    for shop, owner in owners.items():
        print(f"{shop}: {count(owner, {}):,} orders, {count(owner, OLD):,} of them archived and from before 2025.")

    say("The clerk of lilac tries it first. Everything is run, nothing is kept:")
    body = {"filter": OLD, "reason": "older than two years"}
    tried = clerk.ask("DELETE", "/orders/batch", {**body, "dry_run": True}).body
    print(f"  {tried['deleted']:,} of the {count(clerk, OLD):,} would go; the others are disputed: a deny keeps them")

    say("A bound says how many it may be at most. It is asked before anything is touched:")
    clerk.tells("DELETE", "/orders/batch", {**body, "max_affected": 100})

    say("Now in earnest, without waiting. More than a thousand are a job, transaction after transaction:")
    answer = clerk.ask("DELETE", "/orders/batch", body, {"Prefer": "respond-async"})
    print(f"  {answer.status}, {answer.headers['location'].rsplit('/', 1)[0]}/...")
    job = ended(clerk, answer.body["job"]["id"])
    print(f"  {job['state']}: {job['progress']['deleted']:,} deleted, {job['progress']['failed']} not")

    say("What is left:")
    oak, lilac = owners["oak"], owners["lilac"]
    disputed = count(clerk, {**OLD, "disputed": True})
    print(f"  lilac: {count(lilac, {}):,} orders; of the old ones {count(clerk, OLD)}, all {disputed} of them disputed")
    print(f"  oak:   {count(oak, {}):,} orders; of the old ones {count(oak, OLD)}: no request of lilac's reaches them")

    say("It was the wrong year. All of it comes back, as it was:")
    undone = clerk.must("POST", f"/orders/batch/{job['batch']}/undo", {"reason": "wrong year"})
    print(f"  {undone['restored']:,} restored; lilac has {count(clerk, {}):,} orders again")

    say("The owner of lilac reads who did what, newest first, a line a transaction:")
    for entry in lilac.must("GET", "/_pm/audit?subject=clerk&kind=write")["data"]:
        print(f"  {entry['subject']}: {entry['action']} of {entry['count']:,} orders")


if __name__ == "__main__":
    with an_example(__file__) as gateway:
        tell(gateway)
