"""Functions of the app are called with the outcome of a run, and a context if they take one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from stepflow.core.run import RunOutcome, RunState
from stepflow.core.verdict import Verdict
from stepflow.engine.env import Env
from stepflow.engine.hooks.choice import ANY_END
from stepflow.engine.hooks.context import HookContext
from stepflow.engine.registry import HookFunction, Registry
from stepflow.engine.user_code.calls import call, ends_task, error_info, stay
from stepflow.engine.user_code.middleware import UserCall, around
from stepflow.engine.user_code.registered import registration_of
from stepflow.engine.user_code.resources.supply import supplied
from stepflow.logs import StepFacts, enter
from stepflow.store.connection.async_ import AsyncCaller
from stepflow.store.hooks import HookRecord
from stepflow.worker.hooks.written import Written, prepare_writes
from stepflow.worker.threads import Threads

#: seconds a function of the app is given for one outcome
FUNCTION_TIMEOUT_S = 60.0


class HookFunctions:
    """
    Calls the hooks of the app that are functions.

    *written* has what those wrote that were called and are not settled, by the delivery's id.
    """

    def __init__(
        self, env: Env, connection: AsyncCaller, registry: Registry, threads: Threads
    ) -> None:
        self._env = env
        self._connection = connection
        self._registry = registry
        self._threads = threads
        self.written: dict[str, Written] = {}
        #: whether the worker is through: what is cancelled from now on is not to be settled
        self.is_over = False

    async def call(self, name: str, record: HookRecord, outcome: RunOutcome) -> Verdict:
        """Call the hook *name*; what leaves it means another try."""
        is_pause = outcome.status == RunState.PAUSED
        hooks = self._registry.paused_hooks if is_pause else self._registry.hooks
        hook = hooks.get(name)
        if hook is None:
            kind = "hook for pauses" if is_pause else "terminal hook"
            return Verdict.dead(f"this app has no {kind} {name!r} any more")
        choice = self._registry.hook_choices.get(name, ANY_END)
        if not is_pause and not choice.wants(outcome.runner, outcome.status):
            return Verdict.delivered()  # whoever wrote the end did not know what it has chosen
        enter(StepFacts(outcome.run_id, outcome.runner))
        context = HookContext(record.id, record.tries + 1, self._named)
        try:
            async with asyncio.timeout(FUNCTION_TIMEOUT_S):
                await self._call(name, hook, outcome, context if choice.has_context else None)
            context.end()
            if context.specs or context.kv.writes:
                self.written[record.id] = await prepare_writes(
                    context, outcome, self._registry, self._env, self._connection
                )
        except BaseException as error:  # whatever a user's hook raises means another try
            if ends_task(error, is_over=self.is_over):
                raise
            return left_by(error)
        finally:
            context.end()
        return Verdict.delivered()

    def _named(self, function: Callable[..., Any], version: int | None) -> tuple[str, int | None]:
        found = registration_of(function, self._registry, version, "ctx.submit")
        return found.name, found.version if version is None else version

    async def _call(
        self, name: str, hook: HookFunction, outcome: RunOutcome, context: HookContext | None
    ) -> None:
        args: tuple[Any, ...] = (outcome,) if context is None else (outcome, context)

        def inner() -> Coroutine[Any, Any, Any]:
            return call(supplied(hook), args, {}, self._threads)

        middleware = self._registry.middleware
        if middleware:
            what = UserCall(
                "hook", name, outcome.run_id, outcome.runner, headers=outcome.headers, args=args
            )
            await around(middleware, what, inner)
        else:
            await inner()


def left_by(error: BaseException) -> Verdict:
    """Say what an exception out of a terminal hook means: another try."""
    stay()
    info = error_info(error)
    return Verdict.retry(f"{info.type}: {info.message}", trace=info.traceback)
