"""The public Stepflow: the app of the core with the kits' ways of registering."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from stepflow import app
from stepflow.core.backoff import RetryPolicy, check_policy
from stepflow.core.ids import runner_key
from stepflow.engine.user_code.arguments import input_type, reader_for
from stepflow.engine.user_code.callables import check_callable
from stepflow.engine.user_code.declarations import check_declared, own_name, takes_input
from stepflow.engine.user_code.registered import Registration, mark
from stepflow.jobs import call_runner
from stepflow.kits.above import verb_of_agents
from stepflow.kits.flow.context import Context
from stepflow.kits.flow.step_options import DeclaredStep, cache_of, check_breaker, declare
from stepflow.kits.flow.workflow import Workflow, WorkflowFunction, context_of
from stepflow.store.durability.level import Durability
from stepflow.times import seconds

if TYPE_CHECKING:
    from stepflow.core.breakers.breaker import Breaker
    from stepflow.core.limits.limit import Limit, LimitRequest, StepLimit
    from stepflow.kits.definition.definitions import Definitions
    from stepflow.kits.machine.machine import Machine

W = TypeVar("W", bound=WorkflowFunction)
S = TypeVar("S", bound=Callable[..., Any])
M = TypeVar("M", bound="Machine[Any, Any]")
A = TypeVar("A")


class Stepflow(app.CoreApp):
    """
    The app: it registers what its workers run.

    `@app.workflow` registers a workflow, `app.machine` a state machine, `app.definitions` loads
    workflows that are data, `@app.tool` is for functions that these call, `@app.runner` a runner,
    `@app.job` a function that is a run of one step, `@app.on_terminal` a hook. `@app.step` declares
    how a function runs as a step.

    Redis is *url*, else STEPFLOW_REDIS_URL, else REDIS_URL, else the embedded server. The app
    connects when it first has to. *webhooks* are called at the end of every run of this app.
    """

    @overload
    def workflow(self, name: W, /) -> W: ...

    @overload
    def workflow(
        self,
        name: str | None = None,
        *,
        version: int = 1,
        retry: RetryPolicy | None = None,
        agent: bool = False,
        limits: Sequence[Limit] = (),
        durability: Durability | None = None,
    ) -> Callable[[W], W]: ...

    def workflow(
        self,
        name: Any = None,
        *,
        version: int = 1,
        retry: RetryPolicy | None = None,
        agent: bool = False,
        limits: Sequence[Limit] = (),
        durability: Durability | None = None,
    ) -> Any:
        """
        Register the function below as workflow *name*, by default its own.

        `async def research(ctx: Context, topic: Topic) -> Report`. Its input is validated before it
        is called, its result when it returns. A run keeps the *version* that it was submitted for,
        and only workers with that version take it; you may register several side by side. *retry*
        is the default policy of its steps, and applies to a TransientError that the function itself
        raises. *agent* says that it is an AI agent: traces then show it as one. *limits* and
        *durability* are as for `runner`.
        """

        def register(function: W) -> W:
            check_declared(function, "@app.workflow")
            called = own_name(function, "@app.workflow") if name is None else name
            has_input = takes_input(function, called, context_of(function))
            check_policy(retry, f"workflow {called!r}")
            expected = input_type(function) if has_input else None
            workflow = Workflow(function, takes_input=has_input, registry=self.registry)
            self.registry.add(
                called, workflow, retry=retry or RetryPolicy(),
                read=None if expected is None else reader_for(called, expected), version=version,
                is_agent=agent, limits=limits, durability=durability,
            )  # fmt: skip
            if not has_input:
                self.registry.without_input[runner_key(called, version)] = False
            read = workflow.returned.read
            mark(function, Registration(self.registry, "workflow", called, version, read))
            return function

        if name is None or isinstance(name, str):
            return register
        function, name = name, None
        return register(function)

    def machine(self, machine: M) -> M:
        """
        Register a Machine as the workflow of its name; returns it.

        Raises InvalidMachine, which names all that is wrong with its graph.
        """
        from stepflow.kits.machine.register import register_machine  # noqa: PLC0415  few have any

        register_machine(self.registry, machine)
        return machine

    def definitions(
        self,
        *places: str | Path,
        env: Iterable[str] = (),
        capabilities: Iterable[str] = (),
        kinds: Iterable[Any] = (),
        runners: Iterable[str] = (),
        scripts: bool = False,
    ) -> Definitions:
        """
        Have this app run definitions, workflows as data, and load those of *places*.

        Places are folders and files. *env* names the environment variables that definitions may
        read in steps, *capabilities* what workers of this app can do beyond others, *kinds* kinds
        of your own, *runners* those of other apps that definitions may run. Only with *scripts* may
        definitions run programs, as the worker's user. Raises InvalidDefinition, which names all
        that is wrong in any file. A second call adds to the first.
        """
        found = self._definitions()
        found.allow(
            env=env, capabilities=capabilities, kinds=kinds, runners=runners, scripts=scripts
        )
        for place in places:
            found.load(place)
        return found

    def _definitions(self) -> Definitions:
        from stepflow.kits.definition.definitions import Definitions  # noqa: PLC0415  few have any

        if self.registry.definitions is None:
            self.registry.definitions = Definitions(self.registry, self.settings)
        found: Definitions = self.registry.definitions
        return found

    @overload
    def tool(self, name: S, /) -> S: ...

    @overload
    def tool(self, name: str | None = None) -> Callable[[S], S]: ...

    def tool(self, name: Any = None) -> Any:
        """
        Let definitions call the function below: `kind: tool`, `input: {tool: NAME, args: {...}}`.

        By default it is called as the function. It stays an ordinary function; a plain one runs in
        a thread. Its arguments are checked against its signature, and read as its types.
        """

        def register(function: S) -> S:
            check_declared(function, "@app.tool")
            called = own_name(function, "@app.tool") if name is None else name
            self._definitions().add_tool(function, called)
            return function

        if name is None or isinstance(name, str):
            return register
        function, name = name, None
        return register(function)

    def agent(
        self,
        name: str,
        agent: A,
        *,
        deps: Callable[[Context], Any] | None = None,
        version: int = 1,
        retry: RetryPolicy | None = None,
        limits: Sequence[Limit] = (),
    ) -> A:
        """
        Register an agent of pydantic-ai as workflow *name*: its input is a prompt; returns it.

        The run's result is the agent's output. Make the agent with `capabilities=[Durable()]`, of
        `stepflow.agents.pydantic_ai`. *deps* makes its dependencies, from `ctx`, whenever the
        workflow is replayed. The other options are those of `workflow`.
        """
        register = verb_of_agents("pydantic_ai.register:register_agent")
        register(self, name, agent, deps=deps, version=version, retry=retry, limits=limits)
        return agent

    def chat(
        self,
        name: str,
        agent: A,
        *,
        compact: Callable[[Sequence[Any]], Awaitable[Sequence[Any]]] | None = None,
        idle: float | timedelta | None = None,
        deps: Callable[[Context], Any] | None = None,
        version: int = 1,
        retry: RetryPolicy | None = None,
        limits: Sequence[Limit] = (),
    ) -> A:
        """
        Register conversations with an agent of pydantic-ai; `client.say` begins and continues one.

        The run's id is the conversation's. Answers go out under topic `chat`. *compact* makes the
        messages fewer that the model is given, by default `KeepLast(100)`, of
        `stepflow.agents.chat`; all of them are kept. After *idle* (seconds or timedelta) without a
        word the conversation ends, and the next word begins it again. The other options are those
        of `agent`.
        """
        register = verb_of_agents("chat.register:register_chat")
        register(
            self, name, agent, compact=compact, idle=idle, deps=deps, version=version, retry=retry,
            limits=limits,
        )  # fmt: skip
        return agent

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
        breaker: Breaker | None = None,
        cache: float | timedelta | None = None,
        version: int = 1,
        limit: Limit | LimitRequest | Sequence[Limit | LimitRequest] | None = None,
        isolation: Literal["process"] | None = None,
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
        breaker: Breaker | None = None,
        cache: float | timedelta | None = None,
        version: int = 1,
        limit: Limit | LimitRequest | Sequence[Limit | LimitRequest] | None = None,
        isolation: Literal["process"] | None = None,
    ) -> Any:
        """
        Declare the options of the function below as a step: `await ctx.step(charge, order)`.

        It stays an ordinary function. Options that you pass to `ctx.step` override these. *timeout*
        (seconds or timedelta) limits one attempt. *name* is the step's name in the journal, by
        default the function's own. With *queue*, workers of that queue run the step as a child run.
        While *breaker* is open the step waits. With *cache* (seconds or timedelta) its values are
        shared with all runs for so long; raise *version* when it computes something else. It waits
        for a slot of each *limit*: a Limit, `limit.of("acme", units=3)`, or several of them. With
        *isolation* "process" a plain function runs in a child process.
        """
        limit_s = None if timeout is None else seconds(timeout, "timeout of @app.step")

        def declare_step(function: S) -> S:
            check_declared(function, "@app.step")
            check_policy(retry, f"step {getattr(function, '__name__', name)!r}")
            if compensate is not None:
                check_callable(compensate, "compensate of @app.step", "compensate={}")
            if breaker is not None:
                check_breaker(breaker, "@app.step")
            requests = _requests_of(limit)
            options = DeclaredStep(
                name, retry, limit_s, compensate, queue, breaker, cache_of(cache, version),
                requests,
            )  # fmt: skip
            runs: Callable[..., Any] = function
            if isolation is not None:
                called = f"step {getattr(function, '__name__', name)!r}"
                runs = self.isolated(function, isolation, called)
                options = replace(options, runs=runs)
            declare(function, options)
            runner = f"step:{name or own_name(function, '@app.step', is_dotted=True)}"
            declare(function, replace(options, runner=runner))
            self.registry.add(
                runner, call_runner(runs, runner), retry=retry, step_timeout_s=limit_s,
                limits=[each.limit for each in requests],
            )  # fmt: skip
            return function

        return declare_step if function is None else declare_step(function)


def _requests_of(limit: StepLimit | None) -> tuple[LimitRequest, ...]:
    if limit is None:
        return ()
    from stepflow.core.limits.limit import requests_of  # noqa: PLC0415  few have any

    return requests_of(limit, "@app.step")
