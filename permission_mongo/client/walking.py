"""A list of many pages: which page is wanted next. Pure; two kinds of iterators go by it."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from permission_mongo.client.call import Call
from permission_mongo.client.errors import NotUnderstood, Unsendable
from permission_mongo.client.json import Document
from permission_mongo.client.results import Page

# Of a limit and a cursor: the call for that page.
Pages = Callable[[int | None, str | None], Call[Page]]


class IncompletePast(UserWarning):
    """A list of the past left out documents of which nobody knows since when they exist."""


@dataclass(slots=True)
class Walk:
    """`limit` rows at most in all (None: every row), `page_size` in a page (None: as many as the gateway gives)."""

    pages: Pages
    limit: int | None = None
    page_size: int | None = None
    rows: deque[Document] = field(default_factory=deque)
    total: int | None = None
    is_complete: bool = True
    _taken: int = 0
    _cursor: str | None = None
    _is_over: bool = False

    def __post_init__(self) -> None:
        given: dict[str, object] = {"limit": self.limit, "page_size": self.page_size}
        for name, number in given.items():
            if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 0):
                raise Unsendable(f"{name}: expected a whole number")
        self._is_over = self.limit == 0

    def wanted(self) -> Call[Page] | None:
        """The call for the next page; None where there is no more."""
        if self._is_over:
            return None
        left = None if self.limit is None else self.limit - self._taken
        sizes = [one for one in (left, self.page_size or None) if one is not None]
        return self.pages(min(sizes) if sizes else None, self._cursor)

    def take(self, page: Page) -> None:
        """NotUnderstood for a page behind which the same one would follow, for ever."""
        if page.has_more and (page.cursor is None or page.cursor == self._cursor):
            raise NotUnderstood("a list that says there is more, and not where")
        rows = page.documents if self.limit is None else page.documents[: self.limit - self._taken]
        self.rows.extend(rows)
        self._taken += len(rows)
        self.total = page.total if self.total is None else self.total
        self._note(page.complete)
        self._cursor = page.cursor
        self._is_over = not page.has_more or self._taken == self.limit

    def _note(self, complete: bool) -> None:
        if self.is_complete and not complete:
            self.is_complete = False
            warnings.warn("documents of an unknown beginning were left out", IncompletePast, stacklevel=4)
