"""Numbers drawn by hooks, in `_pm_sequences`: one counter a sequence and tenant.

Drawn before the write, outside of its transaction: a counter in there would let one document after the other be made.
So a number is never given twice, and one whose write failed is left out.
"""

from __future__ import annotations

from typing import Any

import pymongo
from pymongo.asynchronous.database import AsyncDatabase

from permission_mongo.storage.faults import refusing
from permission_mongo.storage.layout import SEQUENCES
from permission_mongo.values import Document


class Sequences:
    """One database's counters. `timeout` bounds each command, in seconds."""

    def __init__(self, database: AsyncDatabase[Document], timeout: float) -> None:
        self._counters = database[SEQUENCES]
        self._timeout = timeout

    async def draw(self, sequence: str, tenant: Any, count: int) -> range:
        """The next `count` numbers; the first of all is 1."""
        with refusing(), pymongo.timeout(self._timeout):
            found = await self._counters.find_one_and_update(
                {"_id": {"sequence": sequence, "tenant": tenant}},
                {"$inc": {"last": count}},
                upsert=True,
                return_document=pymongo.ReturnDocument.AFTER,
            )
        assert found is not None  # noqa: S101  (an upsert finds what it made)
        last: int = found["last"]
        return range(last - count + 1, last + 1)
