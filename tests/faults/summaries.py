"""What a schedule of faults came to, in one form for all; listed again behind the run's last test."""

from __future__ import annotations

from dataclasses import dataclass

from tests.faults.rows import SEED

TOLD: list[str] = []


@dataclass(frozen=True)
class Summary:
    """`times`: kills, cuts or rounds, named by `of`. `gap`: the longest time without an acknowledged write, seconds."""

    fault: str
    what: str
    times: int
    of: str = "kills"
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    gap: float | None = None
    notes: str = ""

    def __str__(self) -> str:
        counts = f"acknowledged {self.acknowledged}, lost {self.lost}, doubled {self.doubled}, wrong {self.wrong}"
        gap = "" if self.gap is None else f" | longest gap {self.gap:.1f} s"
        notes = f" | {self.notes}" if self.notes else ""
        return f"{self.fault} {self.what} | {self.of} {self.times} | {counts}{gap} | seed {SEED}{notes}"


def tell(summary: Summary | str) -> None:
    """Seen at once with `pytest -s`, beside a failure, and at the end of the run."""
    TOLD.append(str(summary))
    print(f"\n{summary}", flush=True)
