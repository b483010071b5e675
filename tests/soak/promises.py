"""What a soak must show, by its figures alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

GROWTH = 5.0  # per cent at most, in 30 minutes
TASKS_MORE = 3  # what may be under way by chance at one of two moments


@dataclass(frozen=True)
class Held:
    """What a gateway holds when nobody asks anything. `memory` in bytes."""

    memory: int
    tasks: int
    clients: int  # connections on its port
    objects: int = 0


@dataclass
class Found:
    """A whole run. `latencies` in seconds by what was asked; `unexpected` are answers that nothing explains."""

    minutes: float
    before: Held
    after: Held
    statuses: Counter[str] = field(default_factory=Counter)
    unexpected: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    transactions: int = 0
    cursors: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    latencies: dict[str, list[float]] = field(default_factory=dict)

    @property
    def growth(self) -> float:
        """Of the memory, in per cent."""
        return 100.0 * (self.after.memory - self.before.memory) / self.before.memory


def broken(found: Found) -> list[str]:
    """The promises that were not kept, each in a sentence; none if all were."""
    told = {
        f"memory grew by {found.growth:.1f} %": found.growth >= GROWTH,
        f"tasks: {found.before.tasks} before, {found.after.tasks} after": (
            found.after.tasks > found.before.tasks + TASKS_MORE
        ),
        f"{found.after.clients} connections of callers are left": found.after.clients > 0,
        f"{found.transactions} transactions are left open": found.transactions > 0,
        f"{found.cursors} cursors are left open": found.cursors > 0,
        f"unexpected answers: {dict(found.unexpected)}": bool(found.unexpected),
        f"lost: {found.lost[:5]}": bool(found.lost),
        f"done twice: {found.doubled[:5]}": bool(found.doubled),
        f"wrong: {found.wrong[:5]}": bool(found.wrong),
        "nothing was acknowledged": not found.acknowledged,
    }
    return [sentence for sentence, is_so in told.items() if is_so]


def share(values: Sequence[float], of: float) -> float:
    """The value below which so much `of` them lie; 0 of none."""
    return sorted(values)[min(int(of * len(values)), len(values) - 1)] if values else 0.0


def report(found: Found) -> str:
    requests = sum(found.statuses.values())
    lines = [
        f"soak of {found.minutes:.1f} minutes: {requests} requests, faults {dict(found.faults)}",
        f"  answers      {dict(sorted(found.statuses.items()))}",
        f"  unexpected   {sum(found.unexpected.values())} {dict(found.unexpected) or ''}",
        f"  acknowledged {found.acknowledged}, lost {len(found.lost)}, doubled {len(found.doubled)},"
        f" versions and contents wrong {len(found.wrong)}",
        f"  memory       {found.before.memory / 2**20:.1f} MB after the warm-up, {found.after.memory / 2**20:.1f} MB"
        f" at the end: {found.growth:+.1f} %",
        f"  left         {found.transactions} transactions, {found.cursors} cursors, {found.after.clients} connections,"
        f" {found.after.tasks} tasks ({found.before.tasks} after the warm-up)",
        "  seconds      p50 and p99",
    ]
    for name, taken in sorted(found.latencies.items()):
        lines.append(f"    {name:<18} {share(taken, 0.5):7.3f} {share(taken, 0.99):7.3f}  of {len(taken)}")
    kept = broken(found)
    return "\n".join([*lines, "  all promises kept" if not kept else "  BROKEN", *(f"    {one}" for one in kept)])
