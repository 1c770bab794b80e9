"""
Which step the present code belongs to, and loggers whose lines say so.

The worker notes it in a context variable around each step, runner, job and hook; tasks and threads
that these begin inherit it. `facts` gives it to formatters, `StepFilter` to every record.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any, NamedTuple, NoReturn, Protocol

from stepflow.errors import NotInStep


class Code(Protocol):
    """What the present code is of: whoever calls it enters this, once for each step."""

    @property
    def facts(self) -> StepFacts | None:
        """The step that it belongs to, if any."""

    def emit(self, data: Any, topic: str) -> Awaitable[None]:
        """Take one item that it emits; what is returned is done when it is written."""


class StepFacts(NamedTuple):
    """
    The step that code belongs to.

    *step* is the number of a runner's step or the name of a workflow's; None in the workflow's own
    code and in hooks. *attempt* counts from 1.
    """

    run: str
    runner: str = ""
    step: int | str | None = None
    attempt: int = 1

    @property
    def facts(self) -> StepFacts:
        """Itself: code that emits nothing is of its facts alone."""
        return self

    def emit(self, data: Any, topic: str) -> NoReturn:
        """Raise NotInStep."""
        del data, topic
        raise NotInStep

    def words(self) -> str:
        """Write it as the lines of the worker begin: `run=o1 step='charge' attempt=2`."""
        if self.step is None:
            return f"run={self.run}"
        return f"run={self.run} step={self.step!r} attempt={self.attempt}"

    def as_dict(self) -> dict[str, object]:
        """Give what is known of it by name."""
        known: dict[str, object] = {"run": self.run}
        if self.runner:
            known["runner"] = self.runner
        if self.step is not None:
            known |= {"step": self.step, "attempt": self.attempt}
        return known


#: give more facts of the present code: telemetry has the ids of its trace
_sources: list[Callable[[], Mapping[str, object]]] = []

_logger = logging.getLogger("stepflow.log")
#: what the present code is of
code: ContextVar[Code | None] = ContextVar("stepflow_code", default=None)
#: note what the rest of the present task or thread is of
enter = code.set


def current() -> StepFacts | None:
    """Return the step that the present code belongs to; None outside of all."""
    known = code.get()
    return None if known is None else known.facts


def add_source(source: Callable[[], Mapping[str, object]]) -> None:
    """Have `facts` give what *source* gives, too; adding it again changes nothing."""
    if source not in _sources:
        _sources.append(source)


def facts() -> dict[str, object]:
    """
    Return run, runner, step and attempt of the present code, as far as there are any.

    With telemetry also the ids of its trace and span.
    """
    known = current()
    found = {} if known is None else known.as_dict()
    for source in _sources:
        found.update(source())
    return found


class StepFilter(logging.Filter):
    """
    Adds the attributes `run`, `runner`, `step` and `attempt` to every log record.

    Add it to a handler: `handler.addFilter(StepFilter())`. Outside of a step they are None. So are
    `trace_id` and `span_id` outside of a span, and without telemetry.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        known = facts()
        for name in ("run", "runner", "step", "attempt", "trace_id", "span_id"):
            if not hasattr(record, name):
                setattr(record, name, known.get(name))
        return True


class StepLog(logging.LoggerAdapter[logging.Logger]):
    """
    A logger whose lines begin with run, step and attempt, and carry them as attributes.

    By default these are the run, step and attempt that the calling code belongs to. It logs nothing
    while a workflow is replayed.
    """

    def __init__(
        self,
        facts: Callable[[], StepFacts | None] = current,
        is_silent: Callable[[], bool] | None = None,
    ) -> None:
        super().__init__(_logger, {})
        self._facts = facts
        self._is_silent = is_silent

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802
        """Whether a line of this *level* is logged now."""
        return not (self._is_silent is not None and self._is_silent()) and super().isEnabledFor(
            level
        )

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log a line of *level*, as `logging.Logger.log` does."""
        if not self.isEnabledFor(level):
            return
        step = self._facts()
        if step is not None:
            words = step.words()
            msg = f"{words.replace('%', '%%') if args else words} {msg}"
            own: MutableMapping[str, Any] = kwargs.get("extra") or {}
            kwargs["extra"] = {**step.as_dict(), **own}
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1  # the line is the caller's
        self.logger.log(level, msg, *args, **kwargs)


#: logs for the step that the calling code belongs to, wherever it stands
log = StepLog()
