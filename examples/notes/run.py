"""Notes in five minutes: with yours you do everything, of shared ones you read a part, and no others are there."""

from __future__ import annotations

import random

from examples.running import Caller, Gateway, an_example, say

SEED = 1
PEOPLE = ("ann", "bob", "cleo", "dirk", "elif", "finn", "gala", "hugo", "ines", "jan")
EACH = 100
THINGS = ("the boiler", "the car", "the tax form", "the garden", "the roof", "the piano", "the bicycle", "the letter")
DEEDS = ("Call about", "Pay for", "Look at", "Ask Mum about", "Read about", "Sell", "Forget")
MOODS = ("good", "bad", "none")


def a_note(number: int, chance: random.Random) -> dict[str, object]:
    return {
        "title": f"{number}: {chance.choice(DEEDS)} {chance.choice(THINGS)}",
        "text": f"By {chance.choice(('Monday', 'Friday', 'May'))}.",
        "shared": chance.random() < 0.1,
        "tags": chance.sample(["home", "money", "later"], 2),
        "mood": chance.choice(MOODS),
    }


def load(callers: dict[str, Caller]) -> None:
    chance = random.Random(SEED)
    for caller in callers.values():
        notes = [a_note(number, chance) for number in range(1, EACH + 1)]
        caller.must("POST", "/notes/batch", {"documents": notes, "atomic": True})


def count(caller: Caller, **filters: object) -> int:
    return int(caller.must("POST", "/notes/count", {"filter": filters})["data"]["count"])


def tell(gateway: Gateway) -> None:
    callers = {name: gateway.caller(name, "user") for name in PEOPLE}
    load(callers)
    ann, bob = callers["ann"], callers["bob"]
    print(f"{len(PEOPLE)} people, {EACH} notes each.")

    say("Ann writes a note. Who she is stands in her token, not in the body:")
    note = ann.tells("POST", "/notes", {"title": "A present for Bob", "text": "Skates?", "tags": ["later"]}).body
    path = f"/notes/{note['_id']}"

    say("To Bob it is not there, and he can't tell it from one that never was:")
    bob.tells("GET", path)
    bob.tells("GET", "/notes/000000000000000000000000")
    bob.tells("DELETE", path)

    say("She shares it. Bob reads title and text of it; tags and mood stay hers:")
    ann.must("PATCH", path, {"shared": True})
    bob.tells("GET", path)
    bob.tells("PATCH", path, {"text": "A sledge!"})

    say("Bob sees his own and what others share; of the shared ones he can't ask for the mood, not even by a count:")
    print(f"  {count(bob)} notes in all, {count(bob, shared=True)} of his own are shared,", end=" ")
    print(f"{count(bob, mood='bad')} of his own are in a bad mood")
    answer = bob.must("GET", "/notes?_limit=3&_sort=title&_fields=title,owner_id&owner_id=ann")
    print("  of Ann's:", ", ".join(one["title"] for one in answer["data"]))

    say("Ann changes her mind twice. Each state is kept, and told with who, when and why:")
    ann.must("PATCH", path, {"text": "A sledge."}, {"X-Change-Reason": "skates are too small"})
    ann.must("DELETE", path)
    for version in ann.must("GET", f"{path}/versions"):
        print(f"  version {version['version']}: {version['action']}, {version.get('change_reason', 'no reason given')}")
    ann.tells("GET", f"{path}/diff/2/3")
    ann.tells("POST", f"{path}/restore/2")


if __name__ == "__main__":
    with an_example(__file__) as gateway:
        tell(gateway)
