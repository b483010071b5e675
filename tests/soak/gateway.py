"""A gateway that tells on SIGUSR2 what it holds: written as JSON to the file named by SOAK_TOLD.

python -m tests.soak.gateway serve ...
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path

from permission_mongo.cli.main import main

_TOLD = Path(os.environ["SOAK_TOLD"])
_MOST = 40  # kinds of objects


def tell(number: int, frame: object) -> None:
    """Of tasks those that are not done; of objects how many there are of each kind."""
    gc.collect()
    found = gc.get_objects()
    kinds = Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in found)
    tasks = [one for one in found if isinstance(one, asyncio.Task) and not one.done()]
    names = Counter(getattr(one.get_coro(), "__qualname__", "?") for one in tasks)
    told = {
        "tasks": sum(names.values()),
        "names": names,
        "objects": len(found),
        "kinds": dict(kinds.most_common(_MOST)),
    }
    draft = _TOLD.with_suffix(".new")
    draft.write_text(json.dumps(told))
    draft.replace(_TOLD)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR2, tell)
    sys.exit(main())
