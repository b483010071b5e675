"""First pages that are planned already: what a caller asks again in the same words need not be judged again."""

from __future__ import annotations

from typing import Final

from permission_mongo.operations import ListMany
from permission_mongo.planning.callers import Access
from permission_mongo.plans import ListPlan

_MOST: Final = 1024


class Planned:
    """Plans by the very objects that they were made of, which are held, so that no others can get their identity.

    An access is bound to one caller at one collection: no caller finds another's plan. One that was bound for a single
    request finds none, nor does an operation that was read for one, nor a cursor, which has an end.
    """

    def __init__(self) -> None:
        self._plans: dict[tuple[int, int], tuple[Access, ListMany, ListPlan]] = {}

    def find(self, access: Access, operation: ListMany) -> ListPlan | None:
        found = self._plans.get((id(access), id(operation)))
        return None if found is None else found[2]

    def keep(self, access: Access, operation: ListMany, plan: ListPlan) -> None:
        if not (access.lasts and operation.recurs) or operation.cursor is not None:
            return
        if len(self._plans) >= _MOST:
            self._plans.pop(next(iter(self._plans)))
        self._plans[id(access), id(operation)] = access, operation, plan
