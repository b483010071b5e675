"""Coming from permission-mongo in Go: the configuration of its pages as it stands, and what is answered otherwise."""

from __future__ import annotations

import json
import random

from examples.running import Caller, Gateway, an_example, say

SEED = 6
PEOPLE = ("u-ann", "u-bob", "u-cleo", "u-dirk")
EACH = 300
# What the sample's `auth` asks of a token beside its signature.
ASKED = {"iss": "my-app", "aud": "my-api"}


def a_document(owner: str, number: int, chance: random.Random) -> dict[str, object]:
    return {
        "title": f"{owner} {number:03}",
        "status": chance.choice(("draft", "published")),
        "amount": chance.randrange(1, 2000),
        "tax": 10,
    }


def load(callers: dict[str, Caller]) -> None:
    chance = random.Random(SEED)
    for owner, caller in callers.items():
        documents = [a_document(owner, number, chance) for number in range(1, EACH + 1)]
        caller.must("POST", "/documents/batch", {"documents": documents, "atomic": True})


def tell(gateway: Gateway) -> None:
    callers = {name: gateway.caller(name, "user", tenant_id="acme", **ASKED) for name in PEOPLE}
    load(callers)
    ann = callers["u-ann"]
    manager = gateway.caller("u-mia", "manager", tenant_id="acme", **ASKED)
    admin = gateway.caller("u-root", "admin", tenant_id="acme", **ASKED)
    print(f"The four files of the Go gateway's pages serve {len(PEOPLE) * EACH:,} documents.")

    say("`permission-mongo check` names each key that does nothing here, or has another name:")
    told = json.loads(gateway.command("check", str(gateway.config), "--json"))
    for one in told["findings"]:
        if one["code"] in ("ignored-key", "other-name"):
            print(f"  {one['file']}:{one['line']}: {one['message']}")

    say("A list may be sorted by any field, and has a total when it is asked for:")
    page = ann.must("GET", "/documents?_limit=2&_sort=-amount&_count=true&status=published")
    print(f"  {len(page['data'])} of {page['pagination']['total']:,}, has_more: {page['pagination']['has_more']}")

    say("A document that is not yours and one that never was: there 403 and 404, here one and the same:")
    theirs = next(
        one["_id"] for one in callers["u-bob"].must("GET", "/documents?status=draft&_sort=title&_limit=1")["data"]
    )
    ann.tells("GET", f"/documents/{theirs}")
    ann.tells("GET", "/documents/000000000000000000000000")

    say("A filter by a field that the caller can't read: there it answers, here it is refused like an unknown one:")
    viewer = gateway.caller("u-victor", "viewer", tenant_id="acme", **ASKED)
    viewer.tells("GET", '/users?salary={"$gt":100000}')
    viewer.tells("GET", "/users?shoe_size=43")

    say("PUT merges, as there; what is computed is computed anew:")
    mine = ann.must("GET", "/documents?status=draft&created_by=u-ann&_sort=title&_limit=2")["data"]
    changed = ann.must("PUT", f"/documents/{mine[0]['_id']}", {"amount": 900})
    print(f"  {changed['title']}: amount {changed['amount']}, tax {changed['tax']}, total {changed['total']}")

    say("A batch delete tells each id apart, and the hook that keeps published documents is asked for each of them:")
    kept = ann.must("GET", "/documents?status=published&_sort=title&_limit=1&created_by=u-ann")["data"]
    ids = [*(one["_id"] for one in mine), *(one["_id"] for one in kept), theirs]
    gone = ann.tells("DELETE", "/documents/batch", {"ids": ids}).body

    say("What was deleted is in the history, and a manager, who may restore, brings it back as one:")
    print(f"  deleted: {gone['deleted']}; a restore by ann:", end=" ")
    print(ann.ask("POST", f"/documents/batch/{gone['batch']}/undo").status, end="; by her manager: ")
    print(manager.ask("POST", f"/documents/batch/{gone['batch']}/undo").status)
    versions = admin.must("GET", f"/documents/{mine[0]['_id']}/versions")
    print(f"  its versions: {[one['action'] for one in versions]}")


if __name__ == "__main__":
    with an_example(__file__, "JWT_SECRET") as gateway:
        tell(gateway)
