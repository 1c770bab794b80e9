"""How a test submits runs: typed as `Client.submit` is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from stepflow.client import AsyncRunHandle, SubmitOptions
from stepflow.core.outcomes import Outcome
from stepflow.core.runner import Step, TypedRunner, WorkflowContext

if TYPE_CHECKING:
    from stepflow.testing.client import InProcessClient

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741  the input of a workflow
C = TypeVar("C", bound=WorkflowContext)


class Submits:
    """The part of a harness that submits."""

    client: InProcessClient

    @overload
    async def submit(
        self,
        runner: Callable[[Step[I]], Outcome | Awaitable[Outcome]],
        payload: I,
        **options: Unpack[SubmitOptions],
    ) -> AsyncRunHandle[Any]: ...
    @overload
    async def submit(
        self,
        runner: Callable[[Step[Any]], Outcome | Awaitable[Outcome]],
        **options: Unpack[SubmitOptions],
    ) -> AsyncRunHandle[Any]: ...
    @overload
    async def submit(
        self, runner: Callable[[C, I], Awaitable[T]], payload: I, **options: Unpack[SubmitOptions]
    ) -> AsyncRunHandle[T]: ...
    @overload
    async def submit(
        self, runner: Callable[[C], Awaitable[T]], **options: Unpack[SubmitOptions]
    ) -> AsyncRunHandle[T]: ...
    @overload
    async def submit(
        self, runner: Callable[[C, I], T], payload: I, **options: Unpack[SubmitOptions]
    ) -> AsyncRunHandle[T]: ...
    @overload
    async def submit(
        self, runner: Callable[[C], T], **options: Unpack[SubmitOptions]
    ) -> AsyncRunHandle[T]: ...
    @overload
    async def submit(
        self, runner: TypedRunner[I, T], payload: I, **options: Unpack[SubmitOptions]
    ) -> AsyncRunHandle[T]: ...
    @overload
    async def submit(
        self, runner: str, payload: Any = None, **options: Unpack[SubmitOptions]
    ) -> AsyncRunHandle[Any]: ...
    async def submit(
        self,
        runner: str | Callable[..., Any] | TypedRunner[Any, Any],
        payload: Any = None,
        **options: Unpack[SubmitOptions],
    ) -> AsyncRunHandle[Any]:
        """Submit a run, with the options of Client.submit, and let it go as far as it can."""
        return await self.client.submit(runner, payload, **options)
