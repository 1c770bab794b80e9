"""
How a provider is called: as a step of a workflow, or just so.

A step is one call, tried again by its policy. What decides between calls, such as `Resilient`, does
so in the workflow, so each call is remembered by itself.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Protocol

from stepflow.agents.limits import resting, settle_tokens
from stepflow.agents.providers.cut import Spoken, cut_before, note_cut, spoken
from stepflow.agents.providers.errors import ProviderFailed, ProviderOverloaded, note_tries
from stepflow.agents.providers.model import (
    Completion,
    CompletionRequest,
    Provider,
    StreamingProvider,
)
from stepflow.core.backoff import RetryPolicy
from stepflow.core.budgets.budget import Budget, Spending
from stepflow.core.limits.limit import StepLimit
from stepflow.core.output import emit
from stepflow.errors import PermanentError, StepError
from stepflow.kits.flow.current_step import current_step
from stepflow.times import seconds

#: the name of the steps that call a model, and the topic of what they emit
MODEL = "model"


class StepOptions(Protocol):
    """A step whose options are set."""

    def step(self, name: str, function: Any, /, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """Run *function* as a remembered step."""
        ...


class WorkflowCalls(Protocol):
    """A workflow's `ctx`, as far as agents need it."""

    def options(self, **options: Any) -> StepOptions:
        """Set options of a step."""
        ...

    def ask(self, wanted: Any, prompt: str, **options: Any) -> Awaitable[Any]:
        """Ask people."""
        ...

    def gather(self, *branches: Callable[[], Awaitable[Any]], limit: int) -> Awaitable[list[Any]]:
        """Run branches side by side."""
        ...


class Caller(Protocol):
    """What makes one call of a provider."""

    async def __call__(
        self, provider: Provider, request: CompletionRequest, *, is_patient: bool = True
    ) -> Completion:
        """Call it; one that is overloaded is asked again only if the call *is_patient*."""
        ...


async def complete(provider: Provider, request: CompletionRequest, call: Caller) -> Completion:
    """Have *provider* answer, by the calls that it takes to that end."""
    carry = getattr(provider, "carry", None)
    return await (call(provider, request) if carry is None else carry(request, call))


@dataclass(frozen=True, slots=True)
class StepCaller:
    """Calls providers as steps of a workflow; *retry* and *timeout* are those of each step."""

    ctx: WorkflowCalls
    retry: RetryPolicy | None = None
    timeout: float | timedelta | None = None
    is_streamed: bool = False
    key: str | None = None
    #: what each call spends of
    budgets: tuple[Budget, ...] = ()
    #: what each call has to have
    limit: StepLimit | None = None

    async def __call__(
        self, provider: Provider, request: CompletionRequest, *, is_patient: bool = True
    ) -> Completion:
        mine = Spoken() if self.is_streamed else None
        spends = _spends(self.budgets, provider, request, mine) if self.budgets else None
        caller = self.ctx.options(
            key=self.key, retry=self.retry, timeout=self.timeout, spends=spends, limit=self.limit
        )
        call = _call_streamed if self.is_streamed else call_once
        mark = spoken.set(mine)
        try:
            answer = caller.step(MODEL, call, provider, request, is_patient)
        finally:
            spoken.reset(mark)
        completion: Completion = await answer
        return completion


@dataclass(frozen=True, slots=True)
class DirectCaller:
    """Calls providers outside workflows, where nothing is remembered."""

    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeout: float | timedelta | None = None

    async def __call__(
        self, provider: Provider, request: CompletionRequest, *, is_patient: bool = True
    ) -> Completion:
        limit_s = None if self.timeout is None else seconds(self.timeout, "timeout of a model")
        failures = 0
        while True:
            try:
                async with asyncio.timeout(limit_s):
                    completion = await call_once(provider, request, is_patient)
            except Exception as error:
                failures += 1
                note_tries(error, failures)
                if isinstance(error, PermanentError) or failures >= self.retry.max_attempts:
                    raise
                if not self.retry.retries(error):
                    raise
                wait_s = self.retry.wait_s(failures, random.random())
                await asyncio.sleep(max(wait_s, getattr(error, "retry_after", None) or 0.0))
            else:
                return replace(completion, tries=failures + 1)


def _spends(
    budgets: tuple[Budget, ...], provider: Provider, request: CompletionRequest, mine: Spoken | None
) -> Spending:
    from stepflow.agents.budgets.completions import spending_of  # noqa: PLC0415  wanted by few

    return spending_of(budgets, provider, request, mine)


async def call_once(provider: Provider, request: CompletionRequest, is_patient: bool) -> Completion:  # noqa: FBT001  of a step
    """Call a provider once."""
    with _judging(is_patient):
        return _counted(await provider.complete(request))


async def _call_streamed(
    provider: Provider,
    request: CompletionRequest,
    is_patient: bool,  # noqa: FBT001  of a step
) -> Completion:
    """Call a provider once; what it says goes out as it comes."""
    if not isinstance(provider, StreamingProvider):
        return await call_once(provider, request, is_patient)
    completion: Completion | None = None
    mine = spoken.get() or Spoken()
    mine.pieces = 0
    with _judging(is_patient):
        try:
            async for part in provider.stream(request):
                if isinstance(part, Completion):
                    completion = part
                else:
                    mine.pieces += 1
                    await emit(part, MODEL)
        except Exception as error:
            await note_cut(error, mine.pieces)
            raise
    if completion is None:
        raise PermanentError(f"model {provider.name!r} ended its stream without a Completion")
    before = tuple((await cut_before()).items())
    return replace(_counted(completion), cut=before) if before else _counted(completion)


@contextmanager
def _judging(is_patient: bool) -> Iterator[None]:  # noqa: FBT001  as above
    """Have the error of a call say how many tries it took, and whether another makes sense."""
    try:
        yield
    except StepError as error:
        step = current_step()
        if step is not None:
            note_tries(error, step.attempt)
        if isinstance(error, ProviderOverloaded) and not is_patient:
            raise _OverloadedError(error) from error
        if isinstance(error, ProviderFailed) and not isinstance(error, ProviderOverloaded):
            raise resting(error, error.retry_after) from error
        raise


class _OverloadedError(PermanentError):
    """An overloaded provider that is not asked again: there are others."""

    def __init__(self, error: ProviderOverloaded) -> None:
        super().__init__(str(error), data=error.data)


def _counted(completion: Completion) -> Completion:
    step = current_step()
    if step is None:
        return completion
    settle_tokens(completion.usage.input_tokens + completion.usage.output_tokens)
    return replace(completion, tries=step.attempt)
