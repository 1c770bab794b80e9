"""What your own code is told, and what it raises to tell the runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from stepflow.durations import RULE, length_s
from stepflow.errors.base import StepflowError, shown
from stepflow.errors.usage import InvalidOption

#: dollars, or a number of tokens
Amount = Decimal | int | str


class LifespanFailed(StepflowError):
    """A lifespan of the app raised when its worker started; the worker does not start."""

    def __init__(self, name: str, error: str, trace: str) -> None:
        self.lifespan = name
        super().__init__(
            f"the worker does not start: lifespan {name!r} raised {error}\n{trace.rstrip()}"
        )


class ResourceFailed(StepflowError):
    """A resource of the app could not be set up when its worker started; it does not start."""

    def __init__(self, name: str, error: str, trace: str) -> None:
        self.resource = name
        super().__init__(
            f"the worker does not start: resource {name!r} raised {error}\n{trace.rstrip()}"
        )


class ProcessDied(StepflowError):
    """The child process of a function with `isolation="process"` ended during a call."""

    retryable = True

    def __init__(self, function: str, how: str) -> None:
        self.function = function
        self.how = how
        super().__init__(f"the process in which {function} ran is gone: {how}")

    def __reduce__(self) -> tuple[type[ProcessDied], tuple[str, str]]:
        return type(self), (self.function, self.how)


class CancelRequested(StepflowError):
    """The run was asked to stop; `step.cancel.raise_if_set` raises this."""


class StepFailed(StepflowError):
    """
    A `ctx.step` failed for good: its attempts are used up, or it raised PermanentError.

    Its own fields are names and texts, the same live and on replay: decide by these. *data* is what
    the step's error carried, None for most: `PermanentError("refused", data={"code": 51})`, or the
    attribute `stepflow_data` of any other exception. Live its `__cause__` is what the step raised;
    on replay a note has the text of that.
    """

    def __init__(self, name: str, kind: str, message: str, data: Any = None) -> None:
        self.step, self.error_type, self.error_message = name, kind, message
        self.data = data
        super().__init__(f"step {name!r} failed ({kind}): {message}")


class ChildFailed(StepflowError):
    """
    A child run did not succeed; *status* is `failed` or `cancelled`.

    Holds names and texts, like StepFailed.
    """

    def __init__(self, run_id: str, status: str, kind: str, message: str) -> None:
        self.run_id, self.status = run_id, status
        self.error_type, self.error_message = kind, message
        how = f"was {status}" if status == "cancelled" else f"{status} ({kind})"
        super().__init__(f"child {run_id!r} {how}: {message}")


class CircuitOpen(StepflowError):
    """
    A circuit breaker is open, and has `when_open="raise"`.

    *breaker* is its name, *until* when it lets a trial through; None when somebody has opened it by
    hand, for as long as that stands. It says nothing about the step, so it is no failed attempt of
    a `ctx.step`: the workflow gets it, the same live and on replay.
    """

    retryable = True

    def __init__(self, breaker: str, until_s: float, why: str = "") -> None:
        self.breaker, self.until_s, self.why = breaker, until_s, why
        self.until = datetime.fromtimestamp(until_s, UTC) if until_s else None
        end = f"until {self.until:%Y-%m-%d %H:%M:%S} UTC" if self.until else "until it is closed"
        super().__init__(f"breaker {breaker!r} is open {end}{f' {why}' if why else ''}")


class BudgetExceeded(StepflowError):
    """
    A budget has no room for what a `ctx.step` may cost: it was not called.

    *budget* is what `client.budgets` knows it by, *window* the day, month ... that is spent. *unit*
    is `usd` or `tokens`: *spent* of *limit* are gone, and the step may cost *most*. It is no failed
    attempt: the workflow gets it, the same live and on replay.
    """

    def __init__(
        self, budget: str, window: str, unit: str, spent: Amount, limit: Amount, most: Amount
    ) -> None:
        self.budget, self.window, self.unit = budget, window, unit
        self.spent, self.limit, self.most = Decimal(spent), Decimal(limit), Decimal(most)
        when = f" of {window}" if window else ""
        super().__init__(
            f"budget {budget!r} has no room: {self.spent:,f} of {self.limit:,f} {unit}{when} are "
            f"spent, and this step may cost {self.most:,f}; to raise it: stepflow budgets set "
            f"{budget} --{unit} ..."
        )


class StepError(StepflowError):
    """
    The base of the errors that your code raises to say what happens to the step.

    *data*, anything that a payload may be, is kept with the error that fails a `ctx.step`, whose
    workflow finds it in `StepFailed.data`.
    """

    def __init__(self, message: str = "", *, data: Any = None) -> None:
        self.data = data
        super().__init__(message)


class TransientError(StepError):
    """
    Raise it to have the step tried again, whatever the retry policy says about other errors.

    The policy still limits the attempts. *retry_after* (seconds or timedelta) is the least time to
    wait before the next one. Raises InvalidOption when it is no duration.
    """

    retryable = True
    #: what is to rest as well, though the attempt counts: set by calls of models
    rests: RateLimited | None = None

    def __init__(
        self, message: str = "", *, retry_after: float | timedelta | None = None, data: Any = None
    ) -> None:
        self.retry_after = None if retry_after is None else length_s(retry_after)
        if retry_after is not None and self.retry_after is None:
            msg = f"retry_after of TransientError is {shown(retry_after)}; {RULE}"
            raise InvalidOption(msg)
        super().__init__(message, data=data)


class RateLimited(TransientError):
    """
    Raise it when somebody else's limit is used up: nothing of the *limit* begins until then.

    For one *key*, None for all of them. The run waits first in line, and no attempt counts; so it
    is with a run that does not name the limit, and with a `ctx.step`. *retry_after* is seconds or a
    timedelta. Raises InvalidOption.
    """

    def __init__(
        self, limit: str, key: str | None = None, *, retry_after: float | timedelta
    ) -> None:
        self.limit, self.key = limit, key
        of = limit if key is None else f"{limit}[{key}]"
        given: tuple[object, object] = (limit, "" if key is None else key)
        if not all(isinstance(each, str) for each in given):
            msg = f"RateLimited was given {shown(limit)} and key {shown(key)}; both are names"
            raise InvalidOption(msg)
        super().__init__(f"limit {of} is used up", retry_after=retry_after)


class PermanentError(StepError):
    """Raise it when another attempt cannot help: the step fails for good."""


class LimitTimeout(PermanentError):
    """A `ctx.step` has waited in line for a limit for longer than its `max_wait`."""

    def __init__(self, label: str, wait_s: float) -> None:
        self.limit, self.wait_s = label, wait_s
        super().__init__(
            f"it waited in line for limit {label} for more than {wait_s:g} s, its max_wait"
        )


class WrongTransition(PermanentError):
    """A state of a machine chose another state than its `to=` names."""

    def __init__(self, machine: str, state: str, chosen: str, to: Sequence[str]) -> None:
        self.machine, self.state, self.chosen = machine, state, chosen
        named = ", ".join(map(repr, to))
        super().__init__(
            f"machine {machine!r} cannot go from state {state!r} to {chosen}: "
            f"its to= has {named or 'none'}"
        )


class ClaimLost(BaseException):
    """
    Another worker has taken over the step that this one is running.

    `step.memo` and `step.extend` raise it to end your code; nothing that it writes would count. It
    is a BaseException, so that `except Exception` does not catch it.
    """


class Postponed(BaseException):
    """
    The step may not go on now: its run waits, and no attempt is counted.

    It goes on at *due_at* (unix seconds), or when the run's inbox has had more than *inbox*
    arrivals; with *is_told*, when that says so. *waits_for* says in a few words what for. *give_up*
    is called should nobody want the step any more. It is a BaseException, so that
    `except Exception` does not catch it.
    """

    def __init__(
        self,
        waits_for: str,
        due_at: float,
        inbox: int | None,
        *,
        is_told: Callable[[], bool] | None = None,
        give_up: Callable[[], None] | None = None,
    ) -> None:
        self.waits_for, self.due_at, self.inbox = waits_for, due_at, inbox
        self.is_told, self.give_up = is_told, give_up
        super().__init__(f"it waits for {waits_for}")
