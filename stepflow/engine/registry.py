"""What this process can run: runners by name, and the hooks of its code base."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from stepflow.core.backoff import RetryPolicy
from stepflow.core.ids import check_name
from stepflow.core.run import RunOutcome
from stepflow.core.runner import Step, StepRunner
from stepflow.errors import InvalidName, InvalidOption

RunnerFunction = Callable[[Step[Any]], Any]
HookFunction = Callable[[RunOutcome], None] | Callable[[RunOutcome], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Registered:
    """A runner as the engine calls it. *read* turns a plain payload into the annotated type, or is None."""

    name: str
    run: RunnerFunction
    is_async: bool
    policy: RetryPolicy
    step_timeout_s: float | None = None
    read: Callable[[Any], Any] | None = None


@dataclass(slots=True)
class Registry:
    """The runners and hooks of one app."""

    runners: dict[str, Registered] = field(default_factory=dict)
    hooks: dict[str, HookFunction] = field(default_factory=dict)
    #: webhooks that every run of this app gets, by name
    webhooks: dict[str, Any] = field(default_factory=dict)

    def add(
        self,
        name: str,
        runner: StepRunner | RunnerFunction,
        *,
        retry: RetryPolicy | None = None,
        step_timeout_s: float | None = None,
        read: Callable[[Any], Any] | None = None,
    ) -> Registered:
        """Register *runner* under *name*; a name can be given once."""
        check_name("runner", name)
        if name in self.runners:
            raise InvalidName("runner", name, "it is registered already, and a name means one runner")
        if step_timeout_s is not None and step_timeout_s <= 0:
            msg = f"step_timeout of runner {name!r} is {step_timeout_s}; it must be above 0 seconds, or None"
            raise InvalidOption(msg)
        run = runner.run_step if isinstance(runner, StepRunner) else runner
        entry = Registered(name, run, is_async(run), retry or RetryPolicy(), step_timeout_s, read)
        self.runners[name] = entry
        return entry

    def add_hook(self, hook: HookFunction) -> None:
        """Register a function to be called with the outcome of every run of this app."""
        name = check_name("hook", getattr(hook, "__qualname__", type(hook).__name__).replace("<locals>.", ""))
        if self.hooks.setdefault(name, hook) is not hook:
            raise InvalidName("hook", name, "it is registered already, and a name means one hook")


def is_async(function: Callable[..., Any]) -> bool:
    """Say whether calling *function* gives an awaitable: also for callable objects and partials."""
    while hasattr(function, "func"):
        function = function.func
    return inspect.iscoroutinefunction(function) or asyncio.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004
