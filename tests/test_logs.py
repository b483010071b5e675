"""One record is one line, in both formats, whatever is in it; and of an error its text is never told."""

import io
import json
import logging
import threading
import warnings
from contextlib import contextmanager

import pytest

from permission_mongo.config.model import Logging
from permission_mongo.logs import Behind, ConsoleLines, JsonLines, Line, RequestLog, in_one_line
from tests.lines import a_log

NASTY = {
    "a newline": "x\nERROR permission_mongo: forged",
    "a carriage return": "x\r{}",
    "a line separator": "x\u2028y\u2029z\x85w\x0bv\x0cu",
    "colours": "x\x1b[31m\x9b31m",
    "a cleared screen": "\x1bc\x1b]0;title\x07",
    "bidi": "\u202eetirw\u2066x\u2069\u200f",
    "half a pair": "x\ud800",
    "tags": "x\U000e0041",
    "NUL and DEL": "\x00\x7f\x08",
    "no width": "\u200b\ufeff",
}


@contextmanager
def unreported():
    """Nothing of the log comes into the run's report: with half a pair in it no worker could hand it over."""
    handlers = logging.root.handlers
    logging.root.handlers = [one for one in handlers if not type(one).__module__.startswith("_pytest")]
    try:
        yield
    finally:
        logging.root.handlers = handlers


@pytest.fixture(params=[True, False], ids=["json", "console"])
def log(request):
    """What was written so far."""
    with a_log(as_json=request.param) as read:
        yield read


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_t33_a_record_is_one_line_without_control_or_bidi_characters(log, text):
    logger = logging.getLogger("permission_mongo.x")
    with unreported():
        logger.info("it says %s", text)
        logger.info(text, extra={"told": {"subject": text}})
    lines = log().split("\n")
    assert lines.pop() == ""
    assert len(lines) == 2
    assert all(one.isprintable() for one in lines), lines


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_t33_what_is_escaped_in_json_reads_as_it_was(text):
    line = JsonLines().format(
        logging.makeLogRecord({"msg": text, "name": "permission_mongo", "told": {"subject": text}})
    )
    assert (json.loads(line)["message"], json.loads(line)["subject"]) == (text, text)


def test_t33_a_value_of_the_console_looks_like_no_second_one():
    record = logging.makeLogRecord(
        {"msg": "m", "name": "permission_mongo", "told": {"subject": 'a" status=200', "x": ""}}
    )
    assert ConsoleLines().format(record) == 'Level None permission_mongo: m subject="a\\" status=200" x=""'.replace(
        "Level None", record.levelname
    )


def test_text_that_any_line_shows_stays_as_it_is():
    assert in_one_line("Zoë naïve 日本 😀") == "Zoë naïve 日本 😀"


def test_t32_of_an_error_the_kind_and_the_places_are_told_and_no_word_of_its_text(log):
    try:
        raise ValueError("CANARY")
    except ValueError:
        logging.getLogger("permission_mongo").exception("it failed")
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application\n")
    text = log()
    assert text.count("ValueError") == 2
    assert "test_t32_of_an_error" in text
    assert "CANARY" not in text


def test_t32_others_tell_no_commands_headers_or_reprs_at_any_level(log):
    for name in ("httpcore.http11", "pymongo.command", "urllib3.connectionpool", "casbin", "opentelemetry.sdk"):
        logging.getLogger(name).debug("CANARY")
        logging.getLogger(name).info("CANARY")
    logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: <Task exception=E('CANARY')>")
    assert "CANARY" not in log()
    assert "Task exception was never retrieved" in log()


def test_a_warning_of_python_is_a_line(log):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("two\nlines", UserWarning, stacklevel=1)
    assert log().count("\n") == 1


@pytest.mark.parametrize("lines", [JsonLines(), ConsoleLines()], ids=["json", "console"])
def test_a_record_that_can_t_be_put_into_words_ends_nothing(lines):
    record = logging.makeLogRecord({"msg": "%d of %s", "args": ("x",), "name": "permission_mongo"})
    assert "can't be put into words" in lines.format(record)


def test_a_reader_that_takes_no_more_holds_up_nobody():
    class Stuck(io.StringIO):
        free = threading.Event()

        def write(self, text):
            self.free.wait(5)
            return super().write(text)

    stream = Stuck()
    handler = Behind(stream)
    handler.setFormatter(ConsoleLines())
    for n in range(10_700):
        handler.emit(logging.makeLogRecord({"msg": str(n), "name": "permission_mongo"}))
    stream.free.set()
    handler.flush()
    handler.close()
    assert "records were left out" in stream.getvalue()
    assert stream.getvalue().count("\n") <= 10_510  # those that wait, and those at hand


# -- which requests have a line

OK, REFUSED, FAILED = 200, 403, 503


@pytest.mark.parametrize(
    ("kept", "read", "write", "slow", "refused", "failed"),
    [
        ("all", True, True, True, True, True),
        ("writes", False, True, True, True, True),
        ("errors", False, False, True, True, True),
        ("none", False, False, False, False, False),
    ],
)
def test_the_configuration_says_which_requests_have_a_line(kept, read, write, slow, refused, failed):
    log = RequestLog(Logging(requests=kept, slow_requests=0.5))
    assert log.wants(OK, 0.1, writes=False) is read
    assert log.wants(OK, 0.1, writes=True) is write
    assert log.wants(OK, 0.5, writes=False) is slow
    assert log.wants(REFUSED, 0.1, writes=False) is refused
    assert log.wants(FAILED, 0.1, writes=False) is failed


@pytest.mark.parametrize("status", [401, 408, 501])
def test_t33_a_flood_of_refusals_is_counted_and_fills_no_disk(status):
    log = RequestLog(Logging())
    written = sum(log.wants(status, 0.0, writes=False) for _ in range(1000))
    assert written <= 200  # a second may end in between
    assert (log.tally(), log.tally()) == (1000 - written, 0)
    assert log.wants(503, 0.0, writes=False)


def test_a_line_has_names_numbers_and_codes(log):
    RequestLog(Logging()).tell(Line("GET", "/{collection}", 403, 0.0123, {"code": "forbidden", "subject": "alice"}))
    [line] = log().splitlines()
    if line.startswith("{"):
        told = json.loads(line)
        assert told.pop("at").endswith("Z")
        assert told == {
            "level": "info",
            "logger": "permission_mongo.requests",
            "message": "GET /{collection} 403",
            "method": "GET",
            "route": "/{collection}",
            "status": 403,
            "ms": 12.3,
            "code": "forbidden",
            "subject": "alice",
        }
    else:
        assert line.endswith(
            "GET /{collection} 403 method=GET route=/{collection} status=403 ms=12.3 code=forbidden subject=alice"
        )
