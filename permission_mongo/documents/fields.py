"""Which fields of a row one rule shows, masks and lets be written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from permission_mongo.documents.paths import ALWAYS_SHOWN, Path, any_above, any_below, touches

MaskKind = Literal["email", "phone", "partial", "redact", "hash", "last4"]
MASK_KINDS: tuple[MaskKind, ...] = ("email", "phone", "partial", "redact", "hash", "last4")


@dataclass(frozen=True, slots=True)
class FieldRules:
    """The `fields` of one rule. `allow` None means all; `deny` cuts from it; `mask` shows a constant shape instead."""

    allow: frozenset[Path] | None = None
    deny: frozenset[Path] = frozenset()
    deny_write: frozenset[Path] = frozenset()
    mask: tuple[tuple[Path, MaskKind], ...] = ()
    reassign: frozenset[Path] = frozenset()

    @property
    def shows_all(self) -> bool:
        """Whether every field is readable raw."""
        return self.allow is None and not self.deny and not self.mask

    @property
    def writes_all(self) -> bool:
        """Whether every field may be written."""
        return self.allow is None and not self.deny and not self.deny_write

    def covers(self, path: Path) -> bool:
        """Whether the field is shown, raw or masked."""
        return (self.allow is None or any_above(path, self.allow)) and not any_above(path, self.deny)

    def covers_below(self, path: Path) -> bool:
        """Whether something below the path is shown, though the path itself may not be."""
        return self.allow is not None and any_below(path, self.allow) and not any_above(path, self.deny)

    def mask_at(self, path: Path) -> MaskKind | None:
        return next((kind for masked, kind in self.mask if any_above(path, (masked,))), None)

    def is_cut_below(self, path: Path) -> bool:
        return any_below(path, self.deny) or any_below(path, (masked for masked, _ in self.mask))

    def reads_raw(self, path: Path) -> bool:
        """Whether the whole value at the path is shown raw: what a caller may filter, sort or group by."""
        if path in ALWAYS_SHOWN:
            return True
        masked = (masked for masked, _ in self.mask)
        return self.covers(path) and not touches(path, self.deny) and not touches(path, masked)

    def writes(self, path: Path) -> bool:
        """Whether the path may be written: shown at all, and neither it, nor what is above or below it, denied."""
        return self.covers(path) and not touches(path, self.deny) and not touches(path, self.deny_write)


EVERYTHING = FieldRules()
