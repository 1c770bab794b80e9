"""Your call is at fault: change the call."""

from __future__ import annotations

from stepflow.errors.base import StepflowError, shown


class UsageError(StepflowError):
    """The call itself is at fault; the same call fails again."""


class InvalidRunId(UsageError):
    """A given run id does not match `[A-Za-z0-9_-]{1,128}`."""

    def __init__(self, run_id: object) -> None:
        super().__init__(
            f"run id {shown(run_id)} is not valid; use 1 to 128 letters, digits, '_' or '-'"
        )


class InvalidName(UsageError):
    """A runner, queue or hook name that cannot be one."""

    def __init__(self, kind: str, name: object, rule: str) -> None:
        super().__init__(f"{kind} name {shown(name)} is not valid; {rule}")


class InvalidOption(UsageError):
    """An argument out of its range, or two that exclude each other."""


class ReservedHeader(UsageError):
    """A header key in the runtime's own name space."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"header {key!r} is reserved: keys starting with 'workflow.' belong to stepflow; rename it"
        )


class UnsupportedValue(UsageError):
    """A value that cannot be stored, with the path that leads to it."""

    def __init__(self, path: str, problem: str, advice: str | None = None) -> None:
        self.path = path
        advice = advice or "pass something msgpack carries, a dataclass or a pydantic model"
        super().__init__(f"{path}: {problem}; {advice}")


class PayloadTooLarge(UsageError):
    """A payload, result or header set over the limit."""

    def __init__(self, what: str, size: int, limit: int) -> None:
        self.size, self.limit = size, limit
        super().__init__(
            f"{what} is {size:,} bytes packed, over the limit of {limit:,}; store it elsewhere and pass a reference, "
            "or raise STEPFLOW_LIMITS_PAYLOAD_BYTES"
        )


class StepOver(UsageError):
    """An effect was written by what a step had left running when it returned."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"effect {key!r} comes too late: its step has returned, and its commit would not apply it; write effects before"
        )


class NotAnInteger(UsageError):
    """`incr` of a variable that holds no whole number, or beyond 64 bits."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"variable {name!r} holds no whole number, or its sum is beyond 64 bits; incr counts whole numbers only, "
            "set it to one first"
        )


class SignalMisfit(UsageError):
    """A signal's payload is not what the run waits for."""

    def __init__(self, run_id: str, name: str, problem: str) -> None:
        super().__init__(
            f"signal {name!r} does not fit what run {run_id!r} waits for: {problem}; correct the payload and send it again"
        )


class AnswerMisfit(UsageError):
    """An answer is not what the run asks for."""

    def __init__(self, token: str, problem: str) -> None:
        super().__init__(
            f"the answer to {token!r} does not fit what is asked: {problem}; correct it and answer again"
        )


class UnknownRunner(UsageError):
    """A runner name that the app at hand has not registered."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(
            f"no runner is called {name!r} here; known: {', '.join(sorted(known)) or 'none'}"
        )


class AppNotFound(UsageError):
    """`package.module:app` did not lead to a Stepflow object."""

    def __init__(self, target: str, problem: str) -> None:
        super().__init__(f"cannot load app {target!r}: {problem}; write it as package.module:app")


class WebhookRefused(UsageError):
    """A webhook target that stepflow will not call."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(f"webhook {url} is refused: {problem}")


class NotReplayable(UsageError):
    """Workflow code awaited something that a replay could not repeat."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"workflow code may not use {what}: it would not repeat itself on replay; put it into a ctx.step, "
            "and wait with ctx.sleep or ctx.wait_for_signal"
        )


class RunConflict(UsageError):
    """The run id is taken by a run with another runner or input."""

    def __init__(self, run_id: str, difference: str, state: str) -> None:
        super().__init__(
            f"run {run_id!r} is {state} with a different {difference}; pick another run id, or wait for it to end and "
            'submit with on_conflict="restart"'
        )
