"""Entity tags (RFC 9110, 8.8.3): a keyed hash of what one caller is shown of a document, `_version` included.

Equal views have equal tags, and a tag tells nothing of what is not shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from permission_mongo.values import Document, write_json


def tag_of(view: Document, key: bytes) -> str:
    """The strong tag of a whole view, before any choice of fields. `key` (32 bytes) is the gateway's own."""
    return tag_of_json(write_json(view), key)


def tag_of_json(view: bytes, key: bytes) -> str:
    """The same of a view that is written already."""
    # Named by its purpose: a hash made for a mask under the same key is another one.
    return f'"{blake2b(view, key=key, digest_size=16, person=b"etag").hexdigest()}"'


@dataclass(frozen=True, slots=True)
class Tags:
    """What a conditional header names: `strong` and `weak` tags with their quotes, or anything at all for `*`."""

    strong: frozenset[str] = frozenset()
    weak: frozenset[str] = frozenset()
    anything: bool = False

    def has_strong(self, tag: str) -> bool:
        """`If-Match`: a weak tag never matches."""
        return self.anything or tag in self.strong

    def has_weak(self, tag: str) -> bool:
        """`If-None-Match`: weak and strong are alike."""
        return self.anything or tag in self.strong or tag in self.weak
