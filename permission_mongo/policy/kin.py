"""The people around a caller, for `user.$subordinates`, `user.$directReports` and `user.$ancestors`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from permission_mongo.policy.construction import RELATIONS
from permission_mongo.policy.nodes import Value

Read = tuple[tuple[Value, ...], bool]  # values, and whether those are all


@dataclass(frozen=True, slots=True, eq=False)
class Kin:
    """User ids as texts, by the name of the relation; of a caller who is nobody's document there is none.

    Of `overflowing` relations there are too many. Equal to itself alone: what is bound to one serves no other.
    """

    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    overflowing: frozenset[str] = frozenset()
    _read: dict[tuple[str, str | None], Read] = field(default_factory=dict, init=False, repr=False)

    @property
    def weight(self) -> int:
        """How many people it names."""
        return sum(map(len, self.lists.values()))

    def read(self, name: str, kind: str | None, fit: Callable[[str], Value | None]) -> Read | None:
        """The relation as values of a kind, made once; None where it is unknown."""
        found = self._read.get((name, kind))
        if found is not None:
            return found
        texts = self.lists.get(name)
        if texts is None:
            return None
        values = [fit(text) for text in texts]
        read = tuple(value for value in values if value is not None)
        found = self._read[name, kind] = (read, len(read) == len(values))
        return found


NOBODY = Kin()


def told_kin(people: Mapping[str, object]) -> Kin:
    """The people around a caller as a policy test names them, under the names of the relations."""
    return Kin(
        {name: tuple(map(str, named)) for name in RELATIONS if isinstance(named := people.get(name), list | tuple)}
    )
