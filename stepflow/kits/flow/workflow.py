"""A workflow function as the runner it is: each activation is one step of the run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from stepflow.core.outcomes import Outcome
from stepflow.core.runner import Step, StepRunner
from stepflow.engine.registry import Registry
from stepflow.engine.user_code.calls import is_async
from stepflow.engine.user_code.results import DeclaredResult
from stepflow.kits.flow.context import Context
from stepflow.kits.flow.replay.activation import Activation
from stepflow.kits.flow.runtime import FlowRuntime, runtime_of
from stepflow.kits.flow.step_options import Readers
from stepflow.kits.flow.sync_context import SyncContext, carry_plain
from stepflow.logs import StepFacts, current, enter

WorkflowFunction = Callable[..., Any]


class Workflow(StepRunner):
    """
    Runs *function* as a workflow.

    `async def function(ctx)` or `async def function(ctx, input)`, or a plain `def`. *registry* is
    what its app has registered.
    """

    def __init__(
        self,
        function: WorkflowFunction,
        *,
        takes_input: bool,
        registry: Registry | None = None,
    ) -> None:
        self.function = function
        self.returned = DeclaredResult(function)
        self._takes_input = takes_input
        self._registry = registry
        self._is_plain = context_of(function) is SyncContext
        self._readers = Readers()

    async def run_step(self, step: Step[Any]) -> Outcome:
        """Activate the workflow on the worker that runs *step*."""
        known = current()
        if known is not None:  # what it logs is of the run, not of one of its steps
            enter(StepFacts(known.run, known.runner))
        return await self.activate(runtime_of(step), step.payload, step.headers)

    async def activate(
        self, runtime: FlowRuntime, payload: Any, headers: Mapping[str, str]
    ) -> Outcome:
        """Replay what is remembered and go on from there, until the workflow ends or waits."""

        def begin(activation: Activation) -> Coroutine[Any, Any, Any]:
            ctx = Context(
                activation, headers=headers, readers=self._readers, registry=self._registry,
                payload=payload,
            )  # fmt: skip
            args = (payload,) if self._takes_input else ()
            if self.returned.says_something:
                return self._checked(activation, ctx, args)
            return self._call(activation, ctx, args)

        activation = Activation(runtime)
        activation.begin = begin
        return await activation.carry(lambda: begin(activation))

    def _call(
        self, activation: Activation, ctx: Context, args: tuple[Any, ...]
    ) -> Coroutine[Any, Any, Any]:
        if self._is_plain:
            return carry_plain(self.function, ctx, activation.loop, *args)
        called: Coroutine[Any, Any, Any] = self.function(ctx, *args)
        return called

    async def _checked(self, activation: Activation, ctx: Context, args: tuple[Any, ...]) -> Any:
        """Call the function and refuse a result that is not what it declares."""
        result = await self._call(activation, ctx, args)
        self.returned.check(result)
        return result


def context_of(function: WorkflowFunction) -> type[Context | SyncContext]:
    """Return what *function* is called with."""
    return Context if is_async(_wrapped(function)) else SyncContext


def _wrapped(function: WorkflowFunction) -> WorkflowFunction:
    """
    Return the function that decorators have wrapped.

    Whether that one is async decides which `ctx` it is called with.
    """
    try:
        inside: WorkflowFunction = inspect.unwrap(function)
        return inside
    except ValueError:  # it wraps itself
        return function
