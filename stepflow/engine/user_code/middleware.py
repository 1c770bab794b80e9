"""Middleware: functions of an app that stand around every call of its steps, runners and hooks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from stepflow.engine.user_code.calls import is_async
from stepflow.engine.user_code.hints import own_signature
from stepflow.errors import InvalidOption, shown
from stepflow.logs import current

#: calls what stands inside: the next middleware, or the function itself
CallNext = Callable[[], Awaitable[Any]]
#: `async def middleware(call, call_next)`: returns what `await call_next()` gives, or raises
Middleware = Callable[["UserCall", CallNext], Awaitable[Any]]

#: where functions come from that workflows call on their own behalf
_OURS = "stepflow.kits."
#: where the function of a job is made a runner, and what a step on another queue is called
_JOBS, _REMOTE = "stepflow.jobs", "step:"


@dataclass(frozen=True, slots=True)
class UserCall:
    """
    One call of one of your functions, as middleware sees it.

    *name* is that of the step, runner, job or hook; *attempt* counts from 1. *headers* are those
    that the run was submitted with. *args* and *kwargs* are what the function is called with: for a
    runner its Step, for a hook its RunOutcome.
    """

    kind: Literal["step", "runner", "job", "hook"]
    name: str
    run_id: str
    runner: str
    attempt: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


def check_middleware(function: Any) -> None:
    """Refuse what is no `async def middleware(call, call_next)`; raises InvalidOption."""
    takes_two = False
    if callable(function):
        try:
            own_signature(function).bind(None, None)
            takes_two = True
        except (TypeError, ValueError):
            takes_two = False
    if not takes_two or not is_async(function):
        msg = (
            f"@app.middleware is used on {shown(function)}; "
            "write: async def middleware(call, call_next): return await call_next()"
        )
        raise InvalidOption(msg)


def around(
    middleware: Sequence[Middleware], call: UserCall, innermost: CallNext
) -> Coroutine[Any, Any, Any]:
    """Call *innermost* with all of *middleware* around it, the first one outermost."""
    inside = innermost
    for one in reversed(middleware):
        inside = partial(one, call, inside)
    return _awaited(inside)


async def _awaited(call: CallNext) -> Any:
    return await call()


def is_ours(function: Callable[..., Any]) -> bool:
    """Whether a workflow calls *function* on its own behalf, as to begin a child."""
    return str(getattr(function, "__module__", "")).startswith(_OURS)


def step_call(
    run_id: str,
    name: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    headers: Mapping[str, str],
) -> UserCall:
    """Describe the call of a workflow's step, in whose context this is called."""
    facts = current()
    runner, attempt = ("", 1) if facts is None else (facts.runner, facts.attempt)
    return UserCall("step", name, run_id, runner, attempt, headers, args, kwargs)


def runner_call(
    run: Callable[..., Any], runner: str, step: Any, headers: Mapping[str, str]
) -> UserCall:
    """Describe the call of a runner or job with its *step*."""
    kind: Literal["step", "runner", "job"] = "runner"
    name = runner
    if runner.startswith(_REMOTE):
        kind, name = "step", runner.removeprefix(_REMOTE)
    elif getattr(run, "__module__", "") == _JOBS:
        kind = "job"
    return UserCall(kind, name, step.run_id, runner, step.attempt, headers, (step,))
