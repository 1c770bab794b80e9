"""The public Stepflow: the app of the core with the kits' ways of registering."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar, overload

from stepflow import app
from stepflow.core.backoff import RetryPolicy
from stepflow.engine.user_code.arguments import input_type, reader_for
from stepflow.jobs import call_runner
from stepflow.kits.flow.step_options import StepOptions, declare
from stepflow.kits.flow.workflow import Workflow, WorkflowFunction
from stepflow.names import dotted_name
from stepflow.times import seconds

W = TypeVar("W", bound=WorkflowFunction)
S = TypeVar("S", bound=Callable[..., Any])


class Stepflow(app.CoreApp):
    """
    An app, with which you register what its workers run.

    That is workflows with `@app.workflow`, runners with `@app.runner`, functions with `@app.job`,
    and hooks; `@app.step` declares how a function runs as a step of workflows.

    *url* beats STEPFLOW_REDIS_URL beats REDIS_URL; with none of them the embedded server is used.
    Nothing is connected before it is needed. *webhooks* are called at the end of every run of this
    app.
    """

    def workflow(
        self, name: str, *, version: int = 1, retry: RetryPolicy | None = None
    ) -> Callable[[W], W]:
        """
        Register the function below as workflow *name*.

        `async def research(ctx: Context, topic: Topic) -> Report`. A run keeps the *version* it was
        submitted for, and only workers with that version claim it; you may register several side by
        side. *retry* is the default of its steps, and says how often a TransientError of the
        function itself has the activation tried again.
        """

        def register(function: W) -> W:
            parameters = list(inspect.signature(function).parameters.values())
            takes_input = len(parameters) > 1
            policy = retry or RetryPolicy()
            expected = input_type(function) if takes_input else None
            self.registry.add(
                name, Workflow(function, takes_input=takes_input), retry=policy,
                read=None if expected is None else reader_for(name, expected), version=version,
            )  # fmt: skip
            return function

        return register

    @overload
    def step(self, function: S) -> S: ...

    @overload
    def step(
        self,
        *,
        name: str | None = None,
        retry: RetryPolicy | None = None,
        timeout: float | timedelta | None = None,
        compensate: Callable[..., Any] | None = None,
        queue: str | None = None,
    ) -> Callable[[S], S]: ...

    def step(
        self,
        function: Any = None,
        *,
        name: str | None = None,
        retry: RetryPolicy | None = None,
        timeout: float | timedelta | None = None,
        compensate: Callable[..., Any] | None = None,
        queue: str | None = None,
    ) -> Any:
        """
        Say once how the function below runs as a step: `await ctx.step(charge, order)`.

        It stays callable as it is. What you pass to `ctx.step` beats what is declared here.
        *timeout* (seconds or timedelta) is of one attempt; *name* is the step's in the journal, the
        function's own by default. With *queue* the step is a run of its own on that queue, done by
        a worker that serves it and knows this function.
        """
        limit_s = None if timeout is None else seconds(timeout, "timeout of @app.step")

        def mark(function: S) -> S:
            own = dotted_name(function).replace(".<locals>", "")
            runner = f"step:{name or own}"
            declare(function, StepOptions(name, retry, limit_s, compensate, queue, runner))
            self.registry.add(
                runner, call_runner(function, runner), retry=retry, step_timeout_s=limit_s
            )
            return function

        return mark if function is None else mark(function)
