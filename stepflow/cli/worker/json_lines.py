"""Log lines as JSON: one object a line, for programs that collect them."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any

from stepflow import logs

#: what every record has; anything else is somebody's `extra`
_OF_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {
    "asctime", "level", "logger", "message", "taskName", "time", "worker",
}  # fmt: skip
#: how our own lines say of what they are
_OURS = {
    "run": re.compile(r"\brun=(\S+?):? "),
    "step": re.compile(r"\bstep[= ]('(?:[^'\\]|\\.)*'|\d+)"),
    "attempt": re.compile(r"\battempt[= ](\d+)"),
}


class JsonLines(logging.Formatter):
    """
    Writes a record as one JSON object.

    It has time, level, logger and message; run, runner, step and attempt where the line is of a
    step; the worker's name; a traceback; and what `extra` brought.
    """

    def __init__(self, worker: str | None) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        """Write *record*; what JSON cannot carry stands as text."""
        message = record.getMessage()
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message,
        }
        if record.name.startswith("stepflow."):
            line |= _said_in(message)
        line |= logs.facts()
        line |= {
            name: value
            for name, value in vars(record).items()
            if name not in _OF_EVERY_RECORD and value is not None
        }
        if self._worker is not None:
            line["worker"] = self._worker
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str, skipkeys=True)


def _said_in(message: str) -> dict[str, Any]:
    """Read run, step and attempt out of a line of our own, whose words say them."""
    found: dict[str, Any] = {}
    for name, pattern in _OURS.items():
        said = pattern.search(f"{message} ")
        if said is not None:
            text = said[1].strip("'")
            found[name] = int(text) if text.isdecimal() and name != "run" else text
    return found
