"""A write that is ready, what was said to it, and whether that is so."""

from __future__ import annotations

from itertools import count

from pymongo.database import Database

from tests.faults.processes import Asked, GatewayProcess
from tests.faults.writes import Write

UNKNOWN = "did not say whether the write happened"
_NUMBERS = count()


def a_group() -> str:
    return f"group-{next(_NUMBERS)}"


def a_key(group: str) -> dict[str, str]:
    return {"idempotency-key": group}


class Begun:
    """A write that is ready, and what was said to it."""

    def __init__(self, gateway: GatewayProcess, write: Write, *, keyed: bool) -> None:
        self.write, self.group = write, a_group()
        self.asking = write.ready(gateway, self.group)
        self.headers = a_key(self.group) if keyed else {}
        self.answer: tuple[int, dict] | None = None
        self._asked: Asked | None = None

    def send(self, gateway: GatewayProcess) -> Begun:
        method, path, body = self.asking
        self._asked = Asked(gateway, body, (method, path), self.headers)
        return self

    def end(self) -> tuple[int, dict] | None:
        """The answer, None if there was none; the first one is remembered."""
        assert self._asked is not None
        found = self._asked.end()
        self.answer = self.answer or found
        return found

    @property
    def seconds(self) -> float:
        """How long the answer was waited for; once it is there."""
        return 0.0 if self._asked is None else self._asked.seconds

    @property
    def status(self) -> int | None:
        return self.answer[0] if self.answer else None

    def effects(self, database: Database) -> int:
        return self.write.effects(database, self.group)

    def told(self, database: Database) -> tuple[str, int | None, object, int]:
        return self.write.name, self.status, self.answer and self.answer[1].get("error"), self.effects(database)

    def is_true(self, database: Database) -> bool:
        """Done and there; or an error, and nothing there; or not known."""
        if self.answer is None:
            return False
        status, told = self.answer
        if status in (200, 201):
            return self.effects(database) == 1
        if status == 503 and UNKNOWN in told["error"]["message"]:
            return self.effects(database) in (0, 1)
        # A batch that was split and met it again in each part says of each item that it was not done.
        return status in (207, 409, 503, 504) and self.effects(database) == 0
