"""The log on standard error: one record is one line, whatever is in it, and written behind the requests' backs.

Only our own loggers speak below a warning: those of the driver and of HTTP clients tell commands, headers and hosts.
Of an error only its kind and the places of the code are written, for its text may hold values, hosts or keys.
"""

from __future__ import annotations

import json
import logging
import queue
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.util import Finalize
from typing import Any, Final, TextIO

import orjson

from permission_mongo.config.model import Logging
from permission_mongo.observations import outcome_of

OURS: Final = "permission_mongo"
_LONGEST: Final = 16 * 1024  # characters of a message
_MOST_FRAMES: Final = 8
_MOST_WAITING: Final = 10_000  # records; then new ones are left out
_AT_ONCE: Final = 500  # records that are written together
_GATHER: Final = 0.03  # seconds that lines which come one upon another wait for more
_TO_END: Final = 2.0  # seconds
_PLAIN: Final = frozenset({str, int, bool, type(None)})
_TOLD: Final = "told"  # the attribute of a record that holds what it tells beside its message


def log_to_stderr(settings: Logging) -> None:
    """From now on everything that is logged, and every warning of Python's, goes there."""
    log_to(sys.stderr, settings, as_json=settings.format == "json" or not (_is_console(settings, sys.stderr)))


def _is_console(settings: Logging, stream: TextIO) -> bool:
    return settings.format == "console" or (settings.format == "auto" and stream.isatty())


def log_to(stream: TextIO, settings: Logging, *, as_json: bool) -> logging.Handler:
    """The handler that writes; whoever closes it has all lines written."""
    handler = Behind(stream)
    handler.setFormatter(JsonLines() if as_json else ConsoleLines())
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    for name in [OURS, *logging.root.manager.loggerDict]:
        # Also those that somebody set to more before.
        logging.getLogger(name).setLevel(level if name == OURS else logging.NOTSET)
    logging.getLogger("casbin").setLevel(logging.ERROR)
    logging.captureWarnings(True)
    return handler


# -- lines


def in_one_line(text: str) -> str:
    """The text with an escape for every character that no line shows: control and format characters, line separators,
    what turns the direction of writing, halves of pairs. JSON stays the same JSON.
    """
    return text if text.isprintable() else "".join(one if one.isprintable() else _escaped(one) for one in text)


def _escaped(one: str) -> str:
    raw = one.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{raw[at]:02x}{raw[at + 1]:02x}" for at in range(0, len(raw), 2))


def message_of(record: logging.LogRecord) -> str:
    """Of another's loggers the first line: behind it stand reprs of tasks and errors, and whole tracebacks."""
    try:
        message = record.getMessage()
    except Exception:  # a record with arguments that don't fit, or whose repr raises
        return "a record that can't be put into words"
    if not record.name.startswith(OURS):
        message = message.partition("\n")[0]
    return message if len(message) <= _LONGEST else f"{message[:_LONGEST]}..."


def error_of(record: logging.LogRecord) -> dict[str, str]:
    """The kind of an error and where it was raised, the innermost place first."""
    error = record.exc_info[1] if record.exc_info else None
    return {} if error is None else {"error": type(error).__name__, "places": places_of(error)}


def places_of(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames[-_MOST_FRAMES:]))


def _told(record: logging.LogRecord) -> Mapping[str, Any]:
    return {**getattr(record, _TOLD, {}), **error_of(record)}


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        about = {"at": at, "level": record.levelname.lower(), "logger": record.name, "message": message_of(record)}
        return in_one_line(_json({**about, **_told(record)}))


def _json(told: dict[str, Any]) -> str:
    """Of what is neither text nor a number the kind alone."""
    if all(type(value) in _PLAIN for value in told.values()):
        with suppress(orjson.JSONEncodeError):  # half a pair, or a number of more than 64 bits
            return orjson.dumps(told).decode()
    return json.dumps(told, ensure_ascii=False, default=_kind, separators=(",", ":"))


def _kind(value: object) -> str:
    return type(value).__name__


class ConsoleLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        told = "".join(f" {name}={_word(value)}" for name, value in _told(record).items())
        text = message_of(record).replace("\n", "\\n")
        return in_one_line(f"{record.levelname} {record.name}: {text}{told}")


def _word(value: Any) -> str:
    """As it is where it is one word, else in quotes: so that no value looks like two."""
    text = str(value) if isinstance(value, str | int | float) else _kind(value)
    plain = text.isprintable() and text and not any(one in text for one in ' "=\\')
    return text if plain else json.dumps(text, ensure_ascii=False)


# -- writing


class Behind(logging.Handler):
    """Writes from a thread of its own: a terminal or pipe that takes no more holds up no request."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._waiting: queue.SimpleQueue[logging.LogRecord | threading.Event | None] = queue.SimpleQueue()
        self._left_out = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()
        # Also in the processes of workers, which end without `atexit`.
        self._at_end = Finalize(None, self.close, exitpriority=1)

    def emit(self, record: logging.LogRecord) -> None:
        if self._waiting.qsize() >= _MOST_WAITING:
            self._left_out += 1
            return
        self._waiting.put(record)

    def flush(self) -> None:
        """Wait until what was logged so far is written."""
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            written = threading.Event()
            self._waiting.put(written)
            written.wait(_TO_END)

    def close(self) -> None:
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join(_TO_END)
        super().close()

    def _write(self) -> None:
        """A line that comes alone is written at once; of many, all that came within some moments together.

        To hand the interpreter over and back for each line would cost a request more than the line.
        """
        latest, is_over = 0.0, False
        while not is_over:
            batch = [self._waiting.get()]
            if time.monotonic() - latest < _GATHER and isinstance(batch[0], logging.LogRecord):
                time.sleep(_GATHER)
            while len(batch) < _AT_ONCE and not self._waiting.empty():
                batch.append(self._waiting.get())
            self._write_lines([one for one in batch if isinstance(one, logging.LogRecord)])
            latest = time.monotonic()
            for one in batch:
                if isinstance(one, threading.Event):
                    one.set()
            is_over = None in batch

    def _write_lines(self, records: list[logging.LogRecord]) -> None:
        if self._left_out:
            count, self._left_out = self._left_out, 0
            records.append(logging.makeLogRecord(_left_out(count)))
        try:
            self._stream.write("".join([self._line(one) for one in records]))
            self._stream.flush()
        except Exception:  # noqa: S110  (there is nobody left to tell)
            pass

    def _line(self, record: logging.LogRecord) -> str:
        try:
            return self.format(record) + "\n"
        except Exception:
            return ""


def _left_out(count: int) -> dict[str, Any]:
    about = {"name": f"{OURS}.log", "levelno": logging.ERROR, "levelname": "ERROR"}
    return {**about, "msg": "%d records were left out: nobody reads the log fast enough", "args": (count,)}


# -- requests


@dataclass(frozen=True, slots=True)
class Line:
    """What is told of one request: no path, no query, no id of a document, no credential. `seconds` to its answer."""

    method: str
    route: str
    status: int
    seconds: float
    about: Mapping[str, Any]


_REQUESTS: Final = logging.getLogger(f"{OURS}.requests")
_MOST_REFUSED: Final = 100  # lines a second about refusals: who floods the gateway must not fill a disk


class RequestLog:
    """Which requests have a line: by `logging.requests` and `logging.slow_requests`."""

    def __init__(self, settings: Logging) -> None:
        self._kept = settings.requests
        self._slow = settings.slow_requests
        self._second = 0
        self._refused = 0
        self._left_out = 0

    def wants(self, status: int, seconds: float, *, writes: bool) -> bool:
        """Whether a request that ended so has a line; asked of each, and cheap for most."""
        if self._kept == "none":
            return False
        outcome = outcome_of(status)
        if outcome == "ok":
            return seconds >= self._slow or self._kept == "all" or (writes and self._kept == "writes")
        return outcome == "failed" or self._has_room(int(time.monotonic()))

    def _has_room(self, second: int) -> bool:
        if second != self._second:
            self._second, self._refused = second, 0
        self._refused += 1
        if self._refused <= _MOST_REFUSED:
            return True
        self._left_out += 1
        return False

    def tally(self) -> int:
        """How many lines were left out since this was asked last."""
        count, self._left_out = self._left_out, 0
        return count

    def tell(self, line: Line) -> None:
        level = logging.WARNING if outcome_of(line.status) == "failed" else logging.INFO
        if _REQUESTS.isEnabledFor(level):
            about = {"method": line.method, "route": line.route, "status": line.status}
            told = {**about, "ms": round(line.seconds * 1000, 1), **line.about}
            # As `Logger.log`, which looks for its caller in the stack first: nobody asks for it.
            said = (line.method, line.route, line.status)
            record = _record(level, "%s %s %d", said, told)
            _REQUESTS.handle(record)


_BLANK: Final = vars(logging.LogRecord(_REQUESTS.name, logging.INFO, "", 0, "", (), None))


def _record(level: int, message: str, said: tuple[Any, ...], told: Mapping[str, Any]) -> logging.LogRecord:
    """Made of one that is there: none looks for its thread, its task and its file anew, which no line of ours names."""
    record = logging.LogRecord.__new__(logging.LogRecord)
    now = time.time()
    record.__dict__ = {**_BLANK, "created": now, "msecs": now % 1 * 1000, "msg": message, "args": said, _TOLD: told}
    record.levelno, record.levelname = level, logging.getLevelName(level)
    return record
