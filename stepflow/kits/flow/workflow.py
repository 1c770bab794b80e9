"""A workflow function as the runner it is: each activation is one step of the run."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from stepflow.core.backoff import RetryPolicy
from stepflow.core.outcomes import Outcome
from stepflow.core.runner import Step, StepRunner
from stepflow.engine.user_code.calls import is_async
from stepflow.kits.flow.commands.readers import Readers
from stepflow.kits.flow.context import Context
from stepflow.kits.flow.replay.activation import Activation
from stepflow.kits.flow.sync_context import carry_plain
from stepflow.worker.step_runtime import StepRuntime

WorkflowFunction = Callable[..., Any]


class Workflow(StepRunner):
    """
    Runs *function* as a workflow.

    `async def function(ctx)` or `async def function(ctx, input)`, or a plain `def`.
    """

    def __init__(
        self, function: WorkflowFunction, *, policy: RetryPolicy, takes_input: bool
    ) -> None:
        self.function = function
        self._policy = policy
        self._takes_input = takes_input
        self._is_plain = not is_async(_wrapped(function))
        self._readers = Readers()

    async def run_step(self, step: Step[Any]) -> Outcome:
        """
        Activate the workflow.

        Replay what is remembered, go on from there, end or give the worker back.
        """
        runtime = step.runtime
        assert isinstance(runtime, StepRuntime)
        activation = Activation(runtime)
        ctx = Context(
            activation,
            headers=step.headers,
            policy=runtime.claimed.options.policy or self._policy,
            readers=self._readers,
        )
        given = (step.payload,) if self._takes_input else ()
        if self._is_plain:
            return await activation.carry(
                lambda: carry_plain(self.function, ctx, activation.loop, *given)
            )
        return await activation.carry(lambda: self.function(ctx, *given))


def _wrapped(function: WorkflowFunction) -> WorkflowFunction:
    """
    Give what a decorator wraps.

    What the function inside is decides which `ctx` it has to be given.
    """
    try:
        inside: WorkflowFunction = inspect.unwrap(function)
        return inside
    except ValueError:  # it wraps itself
        return function
