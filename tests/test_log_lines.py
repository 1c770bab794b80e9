"""Lines of the worker's own loggers: what is written without a record is what a record writes."""

import io
import logging
import re

import pytest

from stepflow.cli.worker import lines
from stepflow.cli.worker.lines import FORMAT, OURS, ROOMS, log_to_stderr


@pytest.fixture
def stream(monkeypatch):
    """Have the worker's lines go to a buffer, and put all loggers back afterwards."""
    stream = io.StringIO()
    monkeypatch.setattr(lines, "_copy_of_stderr", lambda: stream)
    root = logging.getLogger()
    loggers = [logging.getLogger(name) for name in (OURS, *(f"{OURS}.{room}" for room in ROOMS))]
    loggers += [logging.getLogger(noisy) for noisy in ("httpx", "httpcore", "asyncio")]
    kept = [(each, each.__class__, each.level, each.handlers[:], each.filters[:])
            for each in (root, *loggers)]  # fmt: skip
    yield stream
    for each, kind, level, handlers, filters in kept:
        each.__class__, each.level = kind, level
        each.handlers[:], each.filters[:] = handlers, filters
        each.manager._clear_cache()


@pytest.fixture
def begin(stream):
    """Have stepflow log as a worker does, with no handler beside its own."""

    def log_alone(*args):
        logging.getLogger().handlers[:] = []  # pytest adds its own before each test
        log_to_stderr(*args)

    return log_alone


@pytest.fixture
def made(monkeypatch):
    """Collect the records that are made."""
    made = []
    make = logging.Logger.makeRecord

    def note(*args, **kwargs):
        made.append(make(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr(logging.Logger, "makeRecord", note)
    return made


def without_times(text):
    return re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("message", "args"),
    [
        ("run=%s %s after step %s", ("o1", "succeeded", 3)),
        ("no arguments, 100 % of it", ()),
        ("run=%s", ("ü\n\udcff",)),
    ],
)
def test_a_line_without_a_record_reads_as_one_with_a_record(begin, stream, made, message, args):
    begin("info")
    log = logging.getLogger("stepflow.run")
    log.info(message, *args)
    short = stream.getvalue()
    assert made == []
    log.addFilter(lambda record: True)
    log.info(message, *args)
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO    ", short)
    assert len(made) == 1
    assert without_times(stream.getvalue()) == without_times(short) * 2


class Seen(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)


@pytest.mark.parametrize("name", ["", "stepflow", "stepflow.run"])
def test_a_handler_of_the_app_gets_whole_records(begin, stream, name):
    begin("info")
    seen = Seen()
    logging.getLogger(name).addHandler(seen)
    logging.getLogger("stepflow.run").info("run=%s ended", "o1")
    (record,) = seen.records
    assert (record.getMessage(), record.funcName) == (
        "run=o1 ended", "test_a_handler_of_the_app_gets_whole_records"
    )  # fmt: skip
    assert without_times(stream.getvalue()) == "INFO    run=o1 ended\n"


def test_a_factory_of_records_of_the_app_is_asked(begin, stream):
    begin("info")
    asked = []

    def factory(*args, **kwargs):
        asked.append(logging.LogRecord(*args, **kwargs))
        return asked[-1]

    logging.setLogRecordFactory(factory)
    try:
        logging.getLogger("stepflow.run").info("a line")
    finally:
        logging.setLogRecordFactory(logging.LogRecord)
    assert [record.getMessage() for record in asked] == ["a line"]


def test_a_formatter_of_its_own_gets_records(begin, stream):
    begin("info", logging.Formatter("%(funcName)s " + FORMAT))
    logging.getLogger("stepflow.run").info("a line")
    assert stream.getvalue().startswith("test_a_formatter_of_its_own_gets_records ")


def test_a_stream_that_is_gone_ends_nobody(begin, stream):
    begin("info")
    stream.close()
    logging.getLogger("stepflow.run").info("a line")


def test_a_worker_that_was_started_without_stderr_goes_on(begin, monkeypatch):
    monkeypatch.setattr(lines, "_copy_of_stderr", lambda: None)
    monkeypatch.setattr("sys.stderr", None)
    begin("info")
    logging.getLogger("stepflow.run").info("a line")


def test_a_level_holds(begin, stream):
    begin("warning")
    logging.getLogger("stepflow.run").info("a line")
    assert stream.getvalue() == ""
