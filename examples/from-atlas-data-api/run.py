"""Coming from the Atlas Data API: each of its actions, as it was sent, and the request that does the same here."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

from examples.running import Caller, Gateway, an_example, say

SEED = 5
SIZE = 1000
VERBS = ("Water", "Paint", "Mend", "Sell", "Count", "Sweep")
THINGS = ("the roses", "the fence", "the gate", "the shed", "the stairs")


@dataclass(frozen=True, slots=True)
class Move:
    """An action there, and what it becomes."""

    action: str
    there: dict[str, Any]
    method: str
    path: str
    body: Any = None
    headers: dict[str, str] | None = None


MOVES = (
    Move("findOne", {"filter": {"_id": "task-0007"}}, "GET", "/tasks/task-0007"),
    Move(
        "findOne",
        {"filter": {"status": "open", "priority": 5}, "projection": {"text": 1}},
        "GET",
        "/tasks?status=open&priority=5&_fields=text&_limit=1",
    ),
    Move(
        "find",
        {
            "filter": {"priority": {"$gte": 4}},
            "projection": {"text": 1},
            "sort": {"priority": -1},
            "limit": 2,
            "skip": 10,
        },
        "POST",
        "/tasks/query",
        {"filter": {"priority": {"$gte": 4}}, "fields": ["text"], "sort": "-priority", "limit": 2, "skip": 10},
    ),
    Move(
        "insertOne",
        {"document": {"_id": "task-2001", "text": "Oil the hinges"}},
        "POST",
        "/tasks",
        {"_id": "task-2001", "text": "Oil the hinges"},
    ),
    Move(
        "insertMany",
        {"documents": [{"_id": "task-2002", "text": "Buy paint"}, {"_id": "task-2003", "text": "Buy brushes"}]},
        "POST",
        "/tasks/batch",
        {"documents": [{"_id": "task-2002", "text": "Buy paint"}, {"_id": "task-2003", "text": "Buy brushes"}]},
    ),
    Move(
        "updateOne",
        {"filter": {"_id": "task-2001"}, "update": {"$set": {"status": "complete"}}},
        "PATCH",
        "/tasks/task-2001",
        {"$set": {"status": "complete"}},
    ),
    Move(
        "updateOne",
        {"filter": {"text": "Oil the hinges"}, "update": {"$set": {"priority": 5}}},
        "PUT",
        "/tasks/batch",
        {"filter": {"text": "Oil the hinges"}, "update": {"$set": {"priority": 5}}, "max_affected": 1},
    ),
    Move(
        "updateMany",
        {"filter": {"status": "open", "priority": 1}, "update": {"$inc": {"priority": 1}}},
        "PUT",
        "/tasks/batch",
        {"filter": {"status": "open", "priority": 1}, "update": {"$inc": {"priority": 1}}},
    ),
    Move(
        "replaceOne",
        {"filter": {"_id": "task-2002"}, "replacement": {"text": "Buy green paint", "status": "open"}},
        "PUT",
        "/tasks/task-2002?_replace=true",
        {"text": "Buy green paint", "status": "open"},
    ),
    Move("deleteOne", {"filter": {"_id": "task-2003"}}, "DELETE", "/tasks/task-2003"),
    Move(
        "deleteMany",
        {"filter": {"status": "complete", "priority": {"$lte": 2}}},
        "DELETE",
        "/tasks/batch",
        {"filter": {"status": "complete", "priority": {"$lte": 2}}},
    ),
    Move(
        "aggregate",
        {"pipeline": [{"$group": {"_id": "$status", "tasks": {"$sum": 1}}}]},
        "POST",
        "/tasks/aggregate",
        {"pipeline": [{"$group": {"_id": "$status", "tasks": {"$sum": 1}}}]},
    ),
)


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
    app.must("POST", "/tasks/batch", {"documents": tasks, "atomic": True})


def tell(gateway: Gateway) -> None:
    key = gateway.command("keys", "create", "--config", str(gateway.config), "--sub", "todo-app", "--roles", "app")
    app = Caller("here", gateway.address, {"X-API-Key": key})
    load(app)
    print(f"{SIZE:,} tasks, and an API key. There, each request was a POST to .../action/{{action}} with dataSource,")
    print("database and collection beside what is shown; here the path names the collection, and the key the rest.")
    for move in MOVES:
        say(f"there: {move.action} {json.dumps(move.there)}")
        app.tells(move.method, move.path, move.body, move.headers)

    say("An upsert is a POST with an id of the caller's own. 409 says that it is there: then it is a PATCH.")
    app.tells("POST", "/tasks", {"_id": "task-2001", "text": "Oil the door"})

    say("An updateOne that would find several is refused, where there it took any of them:")
    app.tells(
        "PUT", "/tasks/batch", {"filter": {"status": "open"}, "update": {"$set": {"priority": 5}}, "max_affected": 1}
    )

    say("What has no counterpart there: what was deleted by mistake comes back.")
    deleted = app.must("DELETE", "/tasks/batch", {"filter": {"status": "inProgress"}, "reason": "a slip"})
    undone = app.must("POST", f"/tasks/batch/{deleted['batch']}/undo")
    print(f"  {deleted['deleted']} deleted, {undone['restored']} restored")


if __name__ == "__main__":
    with an_example(__file__) as gateway:
        tell(gateway)
