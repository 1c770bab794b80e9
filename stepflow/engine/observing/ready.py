"""Observers for use as they are: one that logs, and one that writes a file of JSON lines."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any

from stepflow.engine.observing.facts import ObservedCall, ObservedRun, ObservedStep
from stepflow.engine.observing.observer import Observer

#: levels a value is followed into before it is written as text
_DEEPEST = 8


class LogObserver(Observer):
    """
    Logs what runs do, a line each, without any values of yours.

    Failures and retries are warnings, ends `info`, the rest is at *level*. Logs to *logger*, by
    default to `stepflow.observer`.
    """

    def __init__(self, logger: logging.Logger | None = None, *, level: int = logging.DEBUG) -> None:
        self._log = logger or logging.getLogger("stepflow.observer")
        self._level = level

    def on_run_submitted(self, run: ObservedRun, /) -> None:
        """Log it."""
        self._log.log(self._level, "run=%s of runner %r submitted", run.run_id, run.runner)

    def on_step_started(self, step: ObservedStep, /) -> None:
        """Log it."""
        self._say(self._level, step, f"attempt {step.attempt} begins")

    def on_step_done(self, step: ObservedStep, /) -> None:
        """Log it."""
        self._say(self._level, step, f"done{_took(step)}")

    def on_step_failed(self, step: ObservedStep, /) -> None:
        """Log it."""
        self._say(logging.WARNING, step, f"failed for good{_took(step)}: {_error(step)}")

    def on_retry(self, step: ObservedStep, /) -> None:
        """Log it."""
        words = f"attempt {step.attempt} failed: {_error(step)}; the next is due at {step.next_at}"
        self._say(logging.WARNING, step, words)

    def on_replayed_step(self, step: ObservedStep, /) -> None:
        """Log it."""
        self._say(self._level, step, "answered from memory")

    def on_waiting(self, run: ObservedRun, /) -> None:
        """Log it."""
        until = f" until {run.until}" if run.until else ""
        self._log.log(self._level, "run=%s waits for %s%s", run.run_id, run.waits_for, until)

    def on_resumed(self, run: ObservedRun, /) -> None:
        """Log it."""
        self._log.log(self._level, "run=%s goes on at worker %s", run.run_id, run.worker)

    def on_ended(self, run: ObservedRun, /) -> None:
        """Log it."""
        error = f": {_error(run)}" if run.error else ""
        self._log.info("run=%s of runner %r %s%s", run.run_id, run.runner, run.state, error)

    def on_circuit_open(self, call: ObservedCall, /) -> None:
        """Log it."""
        self._log.warning("run=%s circuit %s opened", call.run_id, call.name)

    def on_llm_call(self, call: ObservedCall, /) -> None:
        """Log it."""
        self._log.log(self._level, "run=%s called model %s", call.run_id, call.name)

    def on_tool_call(self, call: ObservedCall, /) -> None:
        """Log it."""
        self._log.log(self._level, "run=%s called tool %s", call.run_id, call.name)

    def _say(self, level: int, step: ObservedStep, words: str) -> None:
        self._log.log(level, "run=%s step %r %s", step.run_id, step.name, words)


class JsonlObserver(Observer):
    """
    Appends a line of JSON to a file for each step that is done, failed, retried or replayed.

    Also for each run that ends, and each call of a model or a tool. A line has what the step was
    called with and what it returned, so the file is as secret as your data are. Workers of one
    machine may share *path*: each line is one write.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path).absolute()
        self._file: int | None = None

    def on_step_done(self, step: ObservedStep, /) -> None:
        """Write it."""
        self._write("step_done", step)

    def on_step_failed(self, step: ObservedStep, /) -> None:
        """Write it."""
        self._write("step_failed", step)

    def on_retry(self, step: ObservedStep, /) -> None:
        """Write it."""
        self._write("retry", step)

    def on_replayed_step(self, step: ObservedStep, /) -> None:
        """Write it."""
        self._write("replayed_step", step)

    def on_ended(self, run: ObservedRun, /) -> None:
        """Write it."""
        self._write("ended", run)

    def on_llm_call(self, call: ObservedCall, /) -> None:
        """Write it."""
        self._write("llm_call", call)

    def on_tool_call(self, call: ObservedCall, /) -> None:
        """Write it."""
        self._write("tool_call", call)

    def _write(self, what: str, fact: ObservedRun | ObservedStep | ObservedCall) -> None:
        known = {each.name: getattr(fact, each.name) for each in fields(fact)}
        line = {"what": what} | {name: _plain(value, _DEEPEST) for name, value in known.items()}
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(
            self._file, json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        )


def _took(step: ObservedStep) -> str:
    return "" if step.took_s is None else f" in {step.took_s:.3f} s"


def _error(fact: ObservedStep | ObservedRun) -> str:
    return fact.error.brief() if fact.error else "?"


def _plain(value: Any, depth: int) -> Any:
    """Give *value* as JSON has it; what JSON has no form for becomes text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)  # JSON knows no nan and no infinity
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, date | time):
        return value.isoformat()
    if not depth:
        return str(value)
    if hasattr(value, "model_dump"):
        return _plain(value.model_dump(), depth - 1)
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value), depth - 1)
    if isinstance(value, Mapping):
        return {str(key): _plain(each, depth - 1) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each, depth - 1) for each in value]
    return str(value)
