"""Whether the configuration in force is what the files say, in this process and in the workers beside it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

# The workers of one gateway have a folder in common: set, by the rule of Prometheus' library, before that is imported.
SHARED_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX: Final = "standing-"


class Standing:
    """What this process has in force, by its digest, and whether it refused what the files say instead."""

    def __init__(self, digest: str = "") -> None:
        shared = os.environ.get(SHARED_FOLDER)
        self._folder = Path(shared) if shared else None
        self.tell(digest, refused=False)

    def tell(self, digest: str, *, refused: bool) -> None:
        """To the workers beside as well, in one step: they never read half a word."""
        self._said = f"{digest} {'refused' if refused else 'taken'}"
        if self._folder is not None:
            written = self._folder / f".{_PREFIX}{os.getpid()}"
            written.write_text(self._said)
            written.replace(self._folder / f"{_PREFIX}{os.getpid()}")

    @property
    def is_stale(self) -> bool:
        """Whether an edit was refused here or beside, or not all workers have the same in force."""
        return self._said.endswith(" refused") or any(said != self._said for said in self._beside())

    def leave(self) -> None:
        """This process ends: what it said counts no longer."""
        if self._folder is not None:
            (self._folder / f"{_PREFIX}{os.getpid()}").unlink(missing_ok=True)

    def _beside(self) -> list[str]:
        said = []
        for one in [] if self._folder is None else self._folder.glob(f"{_PREFIX}*"):
            if _lives(int(one.name.removeprefix(_PREFIX))):
                with suppress(FileNotFoundError):
                    said.append(one.read_text())
        return said


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
