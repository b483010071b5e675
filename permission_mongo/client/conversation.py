"""A call from its first attempt to its end, as steps for whoever has a connection and a clock.

The steps are yielded, and what became of each is sent back: so one course of things serves threads and event loops.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Final, Generic, TypeVar
from uuid import uuid4

from permission_mongo.client.call import Answer, Call
from permission_mongo.client.errors import ClientError, NotUnderstood, Unclear, Unreachable, Unsendable
from permission_mongo.client.reading import outcome_of
from permission_mongo.client.retries import Ended, Event, Lost, Retries, Tried, judge

T = TypeVar("T")
_SHORTEST: Final = 8  # signs of a credential


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to `connect`, to wait for a free connection (`pool`), between two pieces of an answer (`read`) or of a
    request (`write`); and `total` for all attempts of a call together, with the waits between them.
    """

    connect: float = 5.0
    read: float = 30.0
    write: float = 30.0
    pool: float = 5.0
    total: float = 60.0

    def __post_init__(self) -> None:
        if not all(one > 0 for one in (self.connect, self.read, self.write, self.pool, self.total)):
            raise Unsendable("timeouts: expected numbers above 0; there is no call without an end")


@dataclass(frozen=True, slots=True)
class Ask:
    """The credential is needed: what is sent back is `(header, value)`, or None. `anew`: the one before was refused."""

    anew: bool


@dataclass(frozen=True, slots=True)
class Send:
    """An attempt: what is sent back is an Answer or Lost. It must be over at `until`, by the clock of the rules."""

    method: str
    target: str
    headers: dict[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    timeouts: Timeouts
    until: float


@dataclass(frozen=True, slots=True)
class Wait:
    seconds: float


Step = Ask | Send | Wait
Secret = tuple[str, str]
Reply = Secret | None | Event


@dataclass(frozen=True, slots=True)
class Rules:
    """By what a client goes. `renews`: a refused credential may be asked for anew.

    Time, chance and fresh ids enter here alone.
    """

    timeouts: Timeouts = field(default_factory=Timeouts)
    retries: Retries = field(default_factory=Retries)
    namespace: str | None = None
    agent: str = "permission-mongo-client"
    renews: bool = False
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random
    fresh: Callable[[], str] = field(default=lambda: uuid4().hex)


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    value: T


Conversation = Generator[Step, Reply, T]


def advance(talk: Conversation[T], reply: Reply) -> Step | Done[T]:
    """The step behind the one whose `reply` this is, None for the first; or the result."""
    try:
        return talk.send(reply)
    except StopIteration as end:
        return Done(end.value)


def conversation(call: Call[T], rules: Rules) -> Conversation[T]:
    """The steps of one call. Raises what the call comes to where that is no result."""
    request_id = rules.fresh()
    if call.repeats == "keyed" and call.key is None:
        call = replace(call, key=rules.fresh())
    ends = rules.clock() + (rules.timeouts.total if call.timeout is None else call.timeout)
    secret = _secret((yield Ask(anew=False)))
    tried, renewed = Tried(), not rules.renews
    while True:
        left = ends - rules.clock()
        event = _event((yield _attempt(call, rules, secret, request_id, left)), secret, request_id)
        if isinstance(event, Answer) and event.status == 401 and not renewed:
            secret, renewed = _secret((yield Ask(anew=True))), True
            continue
        if isinstance(event, Answer) and event.status in call.takes:
            return _result(call, event, Ended(in_doubt=False), secret, request_id)
        left = ends - rules.clock()
        verdict = judge(event, tried, call.repeats, rules.retries, left, rules.chance())
        if isinstance(verdict, Ended):
            return _result(call, event, verdict, secret, request_id)
        tried = verdict.tried
        yield Wait(verdict.seconds)


def _attempt(call: Call[T], rules: Rules, secret: Secret | None, request_id: str, left: float) -> Send:
    headers = {
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": rules.agent,
        "x-request-id": request_id,
        **({} if rules.namespace is None else {"x-namespace": rules.namespace}),
        **({} if call.body is None else {"content-type": "application/json"}),
        **({} if call.key is None else {"idempotency-key": call.key}),
        **call.headers,
        **({} if secret is None else {secret[0]: secret[1]}),
    }
    least = max(left, 0.001)  # a timeout of nothing would be none
    given = rules.timeouts
    one, two, three, four = (min(each, least) for each in (given.connect, given.read, given.write, given.pool))
    within = Timeouts(one, two, three, four, least)
    return Send(call.method, call.target, headers, call.body, within, rules.clock() + least)


def _result(call: Call[T], event: Event, end: Ended, secret: Secret | None, request_id: str) -> T:
    try:
        if isinstance(event, Lost):
            raise Unreachable(event.why, request_id=request_id)
        return outcome_of(call, event, _hidden(secret))
    except ClientError as error:
        # What answered a write with what no gateway answers may stand before one that did it.
        if end.in_doubt or (call.writes and isinstance(error, NotUnderstood)):
            raise _unclear(call, error, request_id) from error
        raise


def _unclear(call: Call[T], error: ClientError, request_id: str) -> Unclear:
    told = f"whether it was done is not known: {error.message}"
    return Unclear(told, error, idempotency_key=call.key, request_id=request_id)


def _secret(reply: Reply) -> Secret | None:
    if isinstance(reply, Answer | Lost):
        raise TypeError("a credential was asked for")
    return reply


def _event(reply: Reply, secret: Secret | None, request_id: str) -> Event:
    """An answer with the id that the log knows it by: its own, if it is plain, else the one that was sent."""
    match reply:
        case Lost():
            return reply
        case Answer():
            own = reply.headers.get("x-request-id", "")
            hidden = _hidden(secret)
            fits = 0 < len(own) <= 128 and own.isascii() and own.isprintable() and not (hidden and hidden in own)
            return replace(reply, request_id=own if fits else request_id)
        case _:
            raise TypeError("an answer was asked for")


def _hidden(secret: Secret | None) -> str:
    """What no error tells: the credential without its scheme. A few signs are none, and stand in every sentence."""
    text = "" if secret is None else secret[1].rpartition(" ")[2]
    return text if len(text) >= _SHORTEST else ""
