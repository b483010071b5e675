"""Coming from the Atlas Data API: the calls of an app as it always made them, at another address; and what is new."""

from __future__ import annotations

import random
from typing import Any

from examples.running import Caller, Gateway, an_example, say

SEED = 5
SIZE = 1000
VERBS = ("Water", "Paint", "Mend", "Sell", "Count", "Sweep")
THINGS = ("the roses", "the fence", "the gate", "the shed", "the stairs")
AT = "/app/todo-abcde/endpoint/data/v1/action"
PLACE = {"dataSource": "mongodb-atlas", "database": "todo", "collection": "tasks"}
EXTENDED = {"Content-Type": "application/ejson", "Accept": "application/ejson"}

CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("findOne", {"filter": {"_id": "task-0007"}, "projection": {"text": 1, "status": 1}}),
    (
        "find",
        {
            "filter": {"status": "open", "priority": {"$gte": 4}},
            "projection": {"text": 1, "_id": 0},
            "sort": {"priority": -1},
            "limit": 2,
            "skip": 10,
        },
    ),
    ("insertOne", {"document": {"_id": "task-2001", "text": "Oil the hinges"}}),
    ("insertMany", {"documents": [{"_id": "task-2002", "text": "Buy paint"}, {"text": "Buy brushes"}]}),
    ("updateOne", {"filter": {"text": "Oil the hinges"}, "update": {"$set": {"status": "complete"}}}),
    ("updateMany", {"filter": {"status": "open", "priority": 1}, "update": {"$inc": {"priority": 1}}}),
    ("replaceOne", {"filter": {"_id": "task-2002"}, "replacement": {"text": "Buy green paint"}}),
    ("deleteOne", {"filter": {"text": "Buy brushes"}}),
    ("aggregate", {"pipeline": [{"$group": {"_id": "$status", "tasks": {"$sum": 1}}}]}),
)
UPSERT = {
    "filter": {"_id": "task-3001"},
    "update": {"$inc": {"priority": 1}, "$setOnInsert": {"text": "Call the roofer"}},
    "upsert": True,
}


def load(app: Caller) -> None:
    chance = random.Random(SEED)
    tasks = [
        {
            "_id": f"task-{number:04}",
            "text": f"{chance.choice(VERBS)} {chance.choice(THINGS)}",
            "status": chance.choice(("open", "inProgress", "complete")),
            "priority": chance.randint(1, 5),
        }
        for number in range(1, SIZE + 1)
    ]
    app.must("POST", f"{AT}/insertMany", {**PLACE, "documents": tasks})


def tell(gateway: Gateway) -> None:
    key = gateway.command("keys", "create", "--config", str(gateway.config), "--sub", "todo-app", "--roles", "app")
    app = Caller("app", gateway.address, {"apiKey": key})
    load(app)
    print(f"{SIZE:,} tasks, put there by an insertMany. The app's calls, as they were: paths, bodies, the header")
    print("apiKey. What is new to it is the address, and the key in the header.")
    for action, asked in CALLS:
        print()
        app.tells("POST", f"{AT}/{action}", {**PLACE, **asked})

    say("An upsert creates where nothing is found, and changes what it finds the next time:")
    for _ in range(2):
        app.tells("POST", f"{AT}/updateOne", {**PLACE, **UPSERT})

    say("In Extended JSON for who asks for it:")
    extended = {"filter": {"priority": {"$lte": {"$numberInt": "2"}}}, "projection": {"priority": 1}}
    app.tells("POST", f"{AT}/findOne", {**PLACE, **extended}, EXTENDED)

    say("What the app may not, is refused in the words that it knows. The reasons are the gateway's:")
    app.tells("POST", f"{AT}/updateOne", {**PLACE, "filter": {}, "update": {"$set": {"priority": 9}}})
    app.tells("POST", f"{AT}/find", {**PLACE, "filter": {"$where": "this.priority > 3"}})
    app.tells("POST", f"{AT}/deleteMany", {**PLACE, "collection": "people", "filter": {}})

    say("What has no counterpart there: what was deleted by mistake comes back, by the batch that the answer names.")
    answer = app.tells("POST", f"{AT}/deleteMany", {**PLACE, "filter": {"status": "inProgress"}})
    batch = next(value for name, value in answer.headers.items() if name.lower() == "x-batch")
    owner = Caller("app", gateway.address, {"X-API-Key": key})
    owner.tells("POST", f"/tasks/batch/{batch}/undo")


if __name__ == "__main__":
    with an_example(__file__) as gateway:
        tell(gateway)
