"""How a state of each form is carried out, in calls of `ctx`; it ends with a `Step`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from stepflow.core.backoff import RetryPolicy
from stepflow.core.fanout.join import Join, JoinSlots
from stepflow.kits.flow.commands.poll import Every, Pending
from stepflow.kits.flow.context import Context
from stepflow.kits.machine.calls import Options, caller
from stepflow.kits.machine.context import More, StateContext
from stepflow.kits.machine.shape import Shape, Step
from stepflow.store.values.codec import pack, unpack

#: a duration (seconds or timedelta), a moment (an aware datetime), or a function of the data
After = float | timedelta | datetime | Callable[[Any], float | timedelta | datetime]


@dataclass(slots=True)
class Visit:
    """One visit of a state: *packed* are the data with which it was entered."""

    ctx: Context
    packed: bytes
    own: StateContext
    #: told after each page of a stepped state; it may end this history of the run
    page: Callable[[Any, Any], None]
    #: where a stepped state stands
    cursor: Any = None
    #: what the branches of a split gave
    branches: list[Any] = field(default_factory=list)


class Form:
    """A state: its label, where it may go, its functions. `bind` comes before all else."""

    #: values that its function gets after the data
    extra = 0
    #: what it may return besides a state
    also: tuple[Any, ...] = ()
    shape: Shape

    def __init__(self, label: str, to: tuple[str, ...], function: Callable[..., Any]) -> None:
        self.label, self.to, self.function = label, to, function

    @property
    def functions(self) -> Sequence[tuple[Callable[..., Any], int]]:
        """Its functions, each with how many values it gets after the data."""
        return [(self.function, self.extra)]

    @property
    def choosers(self) -> Sequence[Callable[..., Any]]:
        """Those of them that return the next state."""
        return [self.function]

    def words(self) -> str:
        """Say what is special about it, for drawings; empty for a plain state."""
        return ""

    def bind(self, shape: Shape) -> None:
        """Make its steps."""
        self.shape = shape

    def _then(self, chosen: Any, data: Any) -> Any:
        return self.shape.step(self.label, self.to, chosen, data)


class Carried(Form, ABC):
    """A state that is entered on record and carried out; all but routers are."""

    @abstractmethod
    async def carry(self, visit: Visit) -> Step:
        """Carry the state out."""


class Router(Form):
    """A choice by the data: it leaves nothing behind and is made again on replay."""

    def choose(self, data: Any) -> str:
        """Return the label of the state to go to; raises WrongTransition."""
        return self.shape.label(self.label, self.to, self.function(data))

    def words(self) -> str:
        return "router"


class Plain(Carried):
    """A function, tried until it gives the next state."""

    def __init__(self, label: str, to: tuple[str, ...], function: Any, options: Options) -> None:
        super().__init__(label, to, function)
        self.options = options

    def bind(self, shape: Shape) -> None:
        super().bind(shape)
        self.work = caller(
            shape, self.label, self.function, self.options, self._then, extra=self.extra
        )

    async def carry(self, visit: Visit) -> Step:
        step: Step = await visit.ctx.step(self.label, self.work, visit.packed, visit.own)
        return step


class Poll(Plain):
    """A function that is called until it gives something other than None and Pending."""

    also = (Pending, None)

    def __init__(
        self,
        label: str,
        to: tuple[str, ...],
        function: Any,
        options: Options,
        *,
        every: Every,
        timeout_s: float | None,
        max_errors: int,
        on_timeout: str | None,
    ) -> None:
        super().__init__(label, to, function, options)
        self.every, self.timeout_s, self.max_errors = every, timeout_s, max_errors
        self.on_timeout = on_timeout

    def words(self) -> str:
        return "poll"

    def _then(self, chosen: Any, data: Any) -> Any:
        return chosen if chosen is None or isinstance(chosen, Pending) else super()._then(
            chosen, data
        )  # fmt: skip

    async def carry(self, visit: Visit) -> Step:
        step: Step | None = await visit.ctx.poll(
            self.label, self.work, visit.packed, visit.own, every=self.every,
            timeout=self.timeout_s, max_errors=self.max_errors,
        )  # fmt: skip
        if step is not None:
            return step
        if self.on_timeout is None:
            msg = f"state {self.label!r} had no answer within {self.timeout_s:g} s"
            raise TimeoutError(msg)
        return [self.on_timeout, unpack(visit.packed)]


class Stepped(Plain):
    """A function that is called with a cursor until it gives a state; each call is recorded."""

    extra = 1
    also = (More,)

    def words(self) -> str:
        return "stepped"

    def _then(self, chosen: Any, data: Any) -> Any:
        if isinstance(chosen, More):
            return [None, self.shape.data.plain(data), chosen.cursor]
        return super()._then(chosen, data)

    async def carry(self, visit: Visit) -> Step:
        packed, cursor = visit.packed, visit.cursor
        while True:
            step: Step = await visit.ctx.step(self.label, self.work, packed, visit.own, cursor)
            if step[0] is not None:
                return step
            _, plain, cursor = step
            visit.page(plain, cursor)
            packed = pack(plain, in_clear=True)


class Batch(Plain):
    """Items that are loaded, worked on one by one, and given to a function that says where to."""

    extra = 1

    def __init__(
        self,
        label: str,
        to: tuple[str, ...],
        function: Any,
        options: Options,
        *,
        load: Callable[..., Any],
        each: Callable[..., Any],
        limit: int,
        retry: RetryPolicy | None,
        timeout_s: float | None,
    ) -> None:
        super().__init__(label, to, function, options)
        self.load, self.each, self.limit = load, each, limit
        self.retry, self.timeout_s = retry, timeout_s

    @property
    def functions(self) -> Sequence[tuple[Callable[..., Any], int]]:
        return [(self.load, 0), (self.each, 0), *super().functions]

    def words(self) -> str:
        return f"batch, {self.limit} at once"

    def bind(self, shape: Shape) -> None:
        super().bind(shape)
        loading = Options(self.options.retry, self.options.timeout_s)
        self.loading = caller(shape, f"{self.label}.load", self.load, loading)

    async def carry(self, visit: Visit) -> Step:
        ctx, packed, own = visit.ctx, visit.packed, visit.own
        items = await ctx.step(f"{self.label}.load", self.loading, packed, own)
        found = await ctx.batch(
            f"{self.label}.each", self.each, items, limit=self.limit, errors="slot",
            retry=self.retry, timeout=self.timeout_s,
        )  # fmt: skip
        step: Step = await ctx.step(self.label, self.work, packed, own, found)
        return step


class Split(Carried):
    """Branches side by side, each a step; what they gave is there in the next state."""

    def __init__(
        self,
        label: str,
        to: tuple[str, ...],
        branches: Sequence[Callable[..., Any]],
        options: Options,
        *,
        join: Join,
        limit: int | None,
    ) -> None:
        super().__init__(label, to, lambda data: data)
        self.each, self.options, self.join, self.limit = tuple(branches), options, join, limit

    @property
    def functions(self) -> Sequence[tuple[Callable[..., Any], int]]:
        return [(each, 0) for each in self.each]

    @property
    def choosers(self) -> Sequence[Callable[..., Any]]:
        return []

    def words(self) -> str:
        names = ", ".join(getattr(each, "__name__", "a branch") for each in self.each)
        return f"split: {names}; join {self.join}"

    def bind(self, shape: Shape) -> None:
        super().bind(shape)
        names = [f"{self.label}[{index}]" for index in range(len(self.each))]
        self.works = [
            (name, caller(shape, name, each, self.options))
            for name, each in zip(names, self.each, strict=True)
        ]

    async def carry(self, visit: Visit) -> Step:
        def begin(name: str, work: Callable[..., Any]) -> Callable[[], Awaitable[Any]]:
            return lambda: visit.ctx.step(name, work, visit.packed, visit.own)

        branches = [begin(name, work) for name, work in self.works]
        visit.branches[:] = await visit.ctx.gather(*branches, join=self._slots(), limit=self.limit)
        return [self.to[0], unpack(visit.packed)]

    def _slots(self) -> JoinSlots:
        """Give the join that is settled by the same ends, and has a slot for each branch."""
        return JoinSlots(self.join.kind, self.join.amount, self.join.timeout_s)


class Timer(Carried):
    """A wait until a time that is fixed when the state is entered."""

    def __init__(self, label: str, to: tuple[str, ...], after: After) -> None:
        super().__init__(label, to, after if callable(after) else lambda data: data)
        self.after = after

    @property
    def functions(self) -> Sequence[tuple[Callable[..., Any], int]]:
        return [(self.after, 0)] if callable(self.after) else []

    @property
    def choosers(self) -> Sequence[Callable[..., Any]]:
        return []

    def words(self) -> str:
        return "timer" if callable(self.after) else f"timer: {self.after}"

    async def carry(self, visit: Visit) -> Step:
        data = self.shape.data.fresh(visit.packed)
        after = self.after(data) if callable(self.after) else self.after
        if isinstance(after, datetime):
            await visit.ctx.sleep_until(after)
        else:
            await visit.ctx.sleep(after)
        return [self.to[0], unpack(visit.packed)]


class Ask(Plain):
    """A question to people, and a function that says where their answer leads."""

    extra = 1

    def __init__(
        self,
        label: str,
        to: tuple[str, ...],
        function: Any,
        options: Options,
        *,
        wanted: Any,
        prompt: str,
        timeout_s: float | None,
    ) -> None:
        super().__init__(label, to, function, options)
        self.wanted, self.prompt, self.timeout_s = wanted, prompt, timeout_s

    def words(self) -> str:
        return f"asks: {self.prompt}"

    async def carry(self, visit: Visit) -> Step:
        answer = await visit.ctx.ask(self.wanted, self.prompt, self.timeout_s)
        step: Step = await visit.ctx.step(self.label, self.work, visit.packed, visit.own, answer)
        return step
