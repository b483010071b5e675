"""Whether a call is sent again, and when. Pure: time and chance are told, and nothing is waited for here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from permission_mongo.client.call import Answer, Repeats
from permission_mongo.client.errors import Unsendable
from permission_mongo.client.reading import retry_after

_AGAIN: Final = frozenset({429, 502, 503, 504})
_LEAST_PAUSE: Final = 0.2  # seconds between two looks at a write that is on its way, whatever is said of it
# What the gateway judges before it looks for the idempotency key: of an earlier attempt it says nothing.
_BEFORE_THE_KEY: Final = frozenset({401, 403, 408, 429})


@dataclass(frozen=True, slots=True)
class Lost:
    """No answer came. `arrived` is False where the gateway never had the request, for sure; `why` is for people."""

    why: str
    arrived: bool = True


Event = Answer | Lost


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a call is sent: at most `attempts` times, the first included.

    Between two attempts lie up to `first` seconds, then twice as many and so on up to `longest`, by chance; and before
    them what the gateway asks for in `Retry-After`.
    """

    attempts: int = 5
    first: float = 0.1
    longest: float = 5.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or not 0 <= self.first <= self.longest:
            raise Unsendable("retries: expected at least one attempt, and 0 <= first <= longest")


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a call so far. `in_doubt`: an attempt may have taken effect, and nobody said."""

    attempts: int = 0
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class Again:
    seconds: float
    tried: Tried


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing is sent any more. `in_doubt`: of a write the event does not say whether it was done."""

    in_doubt: bool


Verdict = Again | Ended


def judge(event: Event, tried: Tried, repeats: Repeats, retries: Retries, left: float, chance: float) -> Verdict:
    """What follows an attempt: `left` seconds are left for the whole call, `chance` is from 0 to 1.

    A wait that would not end within `left` is not begun.
    """
    now = replace(tried, attempts=tried.attempts + 1, in_doubt=tried.in_doubt or leaves_doubt(event, repeats))
    if not may_repeat(event, repeats):
        return Ended(repeats != "freely" and _is_in_doubt_at_the_end(event, now))
    wait = _wait(event, now.attempts, retries, chance)
    if _is_on_its_way(event, repeats):
        now = replace(now, attempts=tried.attempts)  # asked for as long as there is time: it is being done
        wait = max(wait, _LEAST_PAUSE)
    elif now.attempts >= retries.attempts:
        return Ended(repeats != "freely" and now.in_doubt)
    return Again(wait, now) if wait < left else Ended(repeats != "freely" and now.in_doubt)


def may_repeat(event: Event, repeats: Repeats) -> bool:
    match event:
        case Lost():
            return repeats != "never" or not event.arrived
        case Answer():
            if repeats == "never":
                return event.status == 429
            return event.status in _AGAIN or _is_on_its_way(event, repeats)


def leaves_doubt(event: Event, repeats: Repeats) -> bool:
    """Whether a write of which this is told may have been done.

    A 503 may be said of a commit whose answer the gateway never had; its own 504 says that nothing was written.
    """
    if repeats == "freely":
        return False
    match event:
        case Lost():
            return event.arrived
        case Answer(504):
            return b'"timeout"' not in event.body
        case Answer():
            return (event.status >= 500 and event.status != 501) or _is_on_its_way(event, repeats)


def _is_in_doubt_at_the_end(event: Event, now: Tried) -> bool:
    if isinstance(event, Lost) or event.status >= 500:
        return now.in_doubt
    return now.in_doubt and event.status in _BEFORE_THE_KEY


def _is_on_its_way(event: Event, repeats: Repeats) -> bool:
    """409 with `Retry-After`: the same write, under this very key."""
    return isinstance(event, Answer) and event.status == 409 and repeats == "keyed" and "retry-after" in event.headers


def _wait(event: Event, attempts: int, retries: Retries, chance: float) -> float:
    """Full jitter, so that those who failed together do not come again together."""
    ceiling = min(retries.longest, retries.first * 2.0 ** min(attempts - 1, 60))
    asked = retry_after(event.headers) if isinstance(event, Answer) else None
    return chance * ceiling + (asked or 0.0)
