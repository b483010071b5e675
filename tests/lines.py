"""The log as the gateway sets it up, written to memory; and how the run's own was, put back."""

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from permission_mongo.config.model import Logging
from permission_mongo.logs import log_to


@contextmanager
def a_log(*, as_json: bool, level: str = "debug", requests: str = "all") -> Iterator[Callable[[], str]]:
    """Meanwhile a function tells what was written so far."""
    root = logging.root
    handlers, at, levels = (
        root.handlers[:],
        root.level,
        {one: logging.getLogger(one).level for one in root.manager.loggerDict},
    )
    stream = io.StringIO()
    root.handlers.clear()  # those of the run stay open
    handler = log_to(stream, Logging(level=level, requests=requests), as_json=as_json)

    def read() -> str:
        handler.flush()
        return stream.getvalue()

    try:
        yield read
    finally:
        handler.close()
        logging.captureWarnings(False)
        root.handlers[:] = handlers
        root.setLevel(at)
        for name, one in levels.items():
            logging.getLogger(name).setLevel(one)
