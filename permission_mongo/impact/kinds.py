"""What one change of a policy comes to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from permission_mongo.policy.rules import Place

Kind = Literal["gained", "lost", "unsure"]


@dataclass(frozen=True, slots=True)
class Change:
    """`unsure`: it can't be told whether something is gained, and so it counts as that.

    `roles` are held together; none means whoever asks. `{does}` in `text` stands for the action. `before` and `after`
    are the rules' places, where there is one.
    """

    kind: Kind
    roles: tuple[str, ...]
    collection: str
    action: str
    text: str
    before: Place | None = None
    after: Place | None = None

    @property
    def widens(self) -> bool:
        return self.kind != "lost"


def widening(changes: Iterable[Change]) -> bool:
    return any(change.widens for change in changes)
