"""What was bound to the people around a caller, remembered as long as they are the same and not too many."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from permission_mongo.policy.kin import Kin

T = TypeVar("T")
_MOST: Final = 4096
_HEAVIEST: Final = 500_000  # people in all, each of some 300 bytes


class Related(Generic[T]):
    """One value a key, bound to one `Kin`: another takes its place. The longest unasked go first."""

    def __init__(self, heaviest: int = _HEAVIEST) -> None:
        self._heaviest = heaviest
        self._weight = 0
        self._known: OrderedDict[Hashable, tuple[Kin, T]] = OrderedDict()

    def find(self, key: Hashable, kin: Kin) -> T | None:
        known = self._known.get(key)
        if known is None or known[0] is not kin:
            return None
        self._known.move_to_end(key)
        return known[1]

    def keep(self, key: Hashable, kin: Kin, value: T) -> None:
        self._forget(key)
        self._known[key] = kin, value
        self._weight += kin.weight
        while self._weight > self._heaviest or len(self._known) > _MOST:
            self._forget(next(iter(self._known)))

    def _forget(self, key: Hashable) -> None:
        known = self._known.pop(key, None)
        self._weight -= 0 if known is None else known[0].weight
