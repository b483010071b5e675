"""A conversation with what is told beforehand: no server, no clock but this one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from permission_mongo.client.call import Answer, Call
from permission_mongo.client.conversation import Ask, Done, Rules, Send, Timeouts, Wait, advance, conversation
from permission_mongo.client.retries import Event, Lost, Retries

LOST = Lost("the connection was lost")
REFUSED = Lost("nobody takes connections there", arrived=False)


def answer(status: int = 200, body: object = None, **headers: str) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(
        status, {"content-type": "application/json", **sent}, body if isinstance(body, bytes) else orjson.dumps(body)
    )


def refusal(status: int, code: str, **headers: str) -> Answer:
    return answer(status, {"error": {"code": code, "message": f"because of {code}"}}, **headers)


@dataclass
class Course:
    """What a call did: the requests that were sent, how long it waited between them, how often it asked for a token."""

    sent: list[Send] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    asked: int = 0
    now: float = 1000.0


def run(
    call: Call[Any],
    events: Iterable[Event],
    course: Course | None = None,
    *,
    retries: Retries | None = None,
    timeouts: Timeouts | None = None,
    renews: bool = False,
    chance: float = 1.0,
    lasts: float = 0.0,
) -> Any:
    """The result of the call if these events come; each attempt takes `lasts` seconds. A missing event is an error."""
    course = course or Course()
    numbers = iter(range(1, 100))
    rules = Rules(
        timeouts or Timeouts(),
        retries or Retries(),
        renews=renews,
        clock=lambda: course.now,
        chance=lambda: chance,
        fresh=lambda: f"fresh{next(numbers)}",
    )
    coming, talk = iter(events), conversation(call, rules)
    step = advance(talk, None)
    while not isinstance(step, Done):
        match step:
            case Ask():
                course.asked += 1
                step = advance(talk, ("authorization", f"Bearer secret{course.asked}"))
            case Send():
                course.sent.append(step)
                course.now += lasts
                step = advance(talk, next(coming))
            case Wait(seconds):
                course.waited.append(seconds)
                course.now += seconds
                step = advance(talk, None)
    return step.value
