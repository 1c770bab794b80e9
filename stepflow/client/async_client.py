"""The client for asyncio and its run handle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, Unpack, cast, overload

from stepflow.client.base import SAFETY_NET_S, BaseClient, existing, result_of
from stepflow.client.beside import AsyncBeside
from stepflow.client.bulk import AsyncBulks
from stepflow.client.exporting import AsyncExporting
from stepflow.client.following import pause
from stepflow.client.hook_info import HookInfo
from stepflow.client.nouns import AsyncNouns
from stepflow.client.options import SubmitOptions, spec_of
from stepflow.client.per_loop import PerLoop
from stepflow.client.reading import AsyncReading
from stepflow.client.signals import AsyncSignals
from stepflow.client.steering import AsyncSteering
from stepflow.core.outcomes import Outcome
from stepflow.core.output import OutputEvent
from stepflow.core.run import RunStatus
from stepflow.core.runner import Step, TypedRunner, WorkflowContext
from stepflow.engine.fork import SAME_INPUT, fork
from stepflow.engine.questions import Question, answer, questions
from stepflow.engine.spec import RunSpec
from stepflow.engine.status import status
from stepflow.engine.steering.audit import noted
from stepflow.engine.submit import Submitted
from stepflow.errors import RedisRefused, StepflowError
from stepflow.settings import Settings
from stepflow.store.calls import Plan
from stepflow.store.connection.async_ import AsyncCaller, carry_out
from stepflow.store.durability.level import Durability
from stepflow.store.rights import CLIENT, missing_rights
from stepflow.store.values import offloaded
from stepflow.store.values.offloaded import OffloadedText
from stepflow.times import seconds

if TYPE_CHECKING:
    from stepflow.engine.events.telemetry import Telemetry
    from stepflow.engine.registry import Registry
    from stepflow.engine.why import Why

T = TypeVar("T")
R = TypeVar("R")
I = TypeVar("I")  # noqa: E741  the input of a workflow
C = TypeVar("C", bound=WorkflowContext)


class AsyncRunHandle(Generic[T]):
    """
    A submitted run: its id, whether this submit created it, and the client's methods for it.

    `result` gives what the function that you submitted returns, as its type; of a run that you
    submitted by name, plain values.
    """

    def __init__(
        self, submitted: Submitted, client: AsyncClient, read: Callable[[Any], Any] | None = None
    ) -> None:
        self.id, self.created = submitted.id, submitted.created
        self._client = client
        self._read = read

    def __repr__(self) -> str:
        return f"AsyncRunHandle({self.id!r}, created={self.created})"

    def read_by(self, read: Callable[[Any], R]) -> AsyncRunHandle[R]:
        """Have `result` turned into what *read* makes of it; gives the handle."""
        self._read = read
        return cast("AsyncRunHandle[R]", self)

    async def status(self) -> RunStatus | None:
        """See AsyncClient.status."""
        return await self._client.status(self.id)

    async def wait(self, timeout: float | timedelta | None = None) -> RunStatus:
        """See AsyncClient.wait."""
        return await self._client.wait(self.id, timeout)

    async def result(self, timeout: float | timedelta | None = None) -> T:
        """See AsyncClient.result."""
        result: T = await self._client.result(self.id, timeout)
        if self._read is not None:
            result = self._read(result)
        return result

    def output(
        self,
        *,
        after: str | None = None,
        topics: str | Sequence[str] | None = None,
        live: bool = True,
        committed: bool = False,
    ) -> AsyncIterator[OutputEvent]:
        """See AsyncClient.output."""
        return self._client.output(
            self.id, after=after, topics=topics, live=live, committed=committed
        )

    async def cancel(self, reason: str = "") -> bool:
        """See AsyncClient.cancel."""
        return await self._client.cancel(self.id, reason)


class AsyncClient(
    AsyncNouns,
    AsyncReading,
    AsyncBeside,
    AsyncExporting,
    AsyncBulks,
    AsyncSteering,
    AsyncSignals,
    BaseClient,
):
    """
    The client for asyncio. Its methods are those of `Client`, to be awaited.

    Make it once, at the top of a module, and use it on any event loop, also on several at a time.
    Each loop gets a connection of its own, which is closed when the loop ends.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        namespace: str | None = None,
        settings: Settings | None = None,
        connection: AsyncCaller | None = None,
        registry: Registry | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        super().__init__(url, namespace, settings, registry, telemetry)
        if connection is None:  # one that is given, as a harness does, leads to no address
            self.env.stand_at(self._address)
        self._connection = connection
        self._per_loop = PerLoop(self._address)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def _do(self, plan: Plan[T], durability: Durability | None = None) -> T:
        with closing(plan):
            connection = await self._connected(durability)
            try:
                return await carry_out(connection, self._on_time(plan))
            except RedisRefused as refusal:
                lacking: list[str] = []
                if refusal.is_about_rights:
                    # a user without the right to look gets the refusal as it is
                    with suppress(StepflowError):
                        lacking = await carry_out(connection, missing_rights(CLIENT, self.env.keys))
                raise self._naming(lacking, refusal) from None

    async def _do_aside(self, plan: Plan[T], durability: Durability | None = None) -> T:
        """Carry out a plan that blocks where large values are in a store: in a thread then."""
        if offloaded.in_use is None:
            return await self._do(plan, durability)
        from stepflow.store.offload.from_thread import carry_out_from_thread  # noqa: PLC0415  few have any

        connection, loop = await self._connected(durability), asyncio.get_running_loop()
        return await asyncio.to_thread(carry_out_from_thread, connection, loop, self._on_time(plan))

    async def _connected(self, durability: Durability | None = None) -> AsyncCaller:
        if self._connection is not None:
            return self._connection
        demand = self._demand if durability is None else self._demand_at(durability)
        if demand is None:
            return (await self._per_loop.here()).connection
        return await self._per_loop.confirming(demand)

    async def close(self) -> None:
        """
        Close the connection of the running loop; the next call opens another one.

        Those of other loops are closed when their loops end; those to the archive now.
        """
        await self._per_loop.close()
        if "archive" in vars(self):  # it was asked for something
            await self.archive.close()

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
        """See Client.submit."""
        given = spec_of(runner, payload, options)
        spec, read = self._named(given, "client.submit")
        durability = self._durability_of(spec)
        if offloaded.in_use is not None:
            submitted = await self._do_aside(self._submit_offloaded(spec), durability)
        else:
            submitted = await self._do(self._submit(spec), durability)
        return AsyncRunHandle(submitted, self, read)

    async def submit_definition(
        self,
        definition: str | Path | Mapping[str, Any] | Any,
        input: Any = None,  # noqa: A002  a definition calls it so
        *,
        entry_point: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> AsyncRunHandle[Any]:
        """See Client.submit_definition."""
        plan = self._submit_definition(definition, input, entry_point, options)
        return AsyncRunHandle(await self._do(plan, options.get("durability")), self)

    async def publish(
        self, topic: str, data: Any = None, *, event_id: str | None = None
    ) -> list[str]:
        """See Client.publish."""
        return await self._do(self._publish(topic, data, event_id))

    async def message(self, text: str, *, message_id: str | None = None) -> AsyncRunHandle[Any]:
        """See Client.message."""
        return AsyncRunHandle(await self._do(self._message(text, message_id)), self)

    async def submit_many(
        self, specs: Iterable[RunSpec | tuple[str | Callable[..., Any], Any]]
    ) -> list[AsyncRunHandle[Any]]:
        """See Client.submit_many."""
        named, readers = self._all_named(specs)
        if offloaded.in_use is not None:
            found = await self._do_aside(self._submit_many_offloaded(named), self._strongest(named))
        else:
            found = await self._do(self._submit_many(named), self._strongest(named))
        return [AsyncRunHandle(item, self, read) for item, read in zip(found, readers, strict=True)]

    async def status(self, run_id: str) -> RunStatus | None:
        """See Client.status."""
        return await self._do(status(run_id, self.env))

    async def wait(self, run_id: str, timeout: float | timedelta | None = None) -> RunStatus:
        """See Client.wait."""
        limit_s = None if timeout is None else seconds(timeout, "timeout of wait")
        is_new = self._is_new(run_id) and self._per_loop.known() is not None
        run = None if is_new else await self._found(run_id)
        if run is not None and run.is_finished:
            return run
        ended = asyncio.Event()
        channel = self.env.keys.done_channel(run_id)

        def heard(message: str) -> None:
            del message
            ended.set()

        opened = self._per_loop.known()
        try:
            async with asyncio.timeout(limit_s):
                if opened is not None:
                    await opened.listener.subscribe(channel, heard)
                while not (run := await self._found(run_id)).is_finished:
                    await pause(ended, SAFETY_NET_S)
                return run
        except TimeoutError:
            run = run or await self._found(run_id)
            if run.is_finished:
                return run
            msg = f"run {run_id!r} is still {run.state} after {limit_s:g} s"
            raise TimeoutError(msg) from None
        finally:
            if opened is not None:
                opened.listener.unsubscribe(channel, heard)

    async def _found(self, run_id: str) -> RunStatus:
        run = existing(run_id, await self.status(run_id))
        while run.is_finished and self._demand is not None:  # the end must last before it is told
            await self._confirm()
            before, run = run, existing(run_id, await self.status(run_id))
            if run.ended_at == before.ended_at:
                break
        return run

    async def _confirm(self) -> None:
        from stepflow.store.durability.async_ import confirm  # noqa: PLC0415  few wait for it

        await confirm(await self._connected())

    async def result(self, run_id: str, timeout: float | timedelta | None = None) -> Any:
        """See Client.result."""
        run = await self.wait(run_id, timeout)
        if isinstance(run.result, OffloadedText):
            return await asyncio.to_thread(result_of, run)
        return result_of(run)

    async def why(self, run_id: str) -> Why:
        """See Client.why."""
        from stepflow.engine.why import LOOK_AGAIN_S, settle  # noqa: PLC0415  only who asks pays

        looks = settle(run_id, self.env)
        plan = next(looks)
        while True:
            why = await self._do(plan)
            try:
                plan = looks.send(why)
            except StopIteration as end:
                settled: Why = end.value
                return settled
            await asyncio.sleep(LOOK_AGAIN_S)

    async def questions(self, *, limit: int = 50) -> Sequence[Question]:
        """See Client.questions."""
        return await self._do(questions(self.env, limit=limit))

    async def answer(self, token: str, value: Any, *, by: str | None = None) -> None:
        """See Client.answer."""
        await self._do(noted(answer(token, value, self.env), "answer", token, by))

    async def kv(self, run_id: str, key: str) -> Any:
        """See Client.kv."""
        return await self._do(self._kv(run_id, key))

    async def fork(
        self,
        run_id: str,
        at: str,
        *,
        new_id: str | None = None,
        version: int | None = None,
        payload: Any = SAME_INPUT,
        by: str | None = None,
    ) -> AsyncRunHandle[Any]:
        """See Client.fork."""
        return AsyncRunHandle(
            await self._do_aside(
                noted(
                    fork(run_id, at, self.env, new_id=new_id, version=version, payload=payload),
                    "fork",
                    run_id,
                    by,
                    f"at {at}",
                )
            ),
            self,
        )

    async def hooks(self, run_id: str | None = None, *, limit: int = 50) -> Sequence[HookInfo]:
        """See Client.hooks."""
        return await self._do(self._hooks(run_id, limit))
