"""The curves by name."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final

from benchmarks.curves.latency import latency
from benchmarks.curves.policies import roles, rules, subordinates
from benchmarks.curves.shape import Curve
from benchmarks.curves.stored import batches, depth, documents, sizes
from benchmarks.world import Extent, World

Measured = Callable[[World, Extent], Coroutine[Any, Any, Curve]]

CURVES: Final[Mapping[str, Measured]] = {
    "latency-get": partial(latency, name="latency-get", kind="get"),
    "latency-list": partial(latency, name="latency-list", kind="list"),
    "latency-post": partial(latency, name="latency-post", kind="post"),
    "rules": partial(rules, name="rules"),
    "roles": partial(roles, name="roles"),
    "subordinates": partial(subordinates, name="subordinates"),
    "sizes": partial(sizes, name="sizes"),
    "batches": partial(batches, name="batches"),
    "documents": partial(documents, name="documents"),
    "depth": partial(depth, name="depth"),
}
