"""`map`: one kind of work, or a child run, for each item of a list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from stepflow.core.fanout.join import Failed
from stepflow.errors import ChildFailed, PermanentError
from stepflow.kits.definition.checking.source import Way
from stepflow.kits.definition.kinds.base import At, Flow, KindInput, Work, form_faults, read_input
from stepflow.kits.definition.kinds.child import Run, RunInput
from stepflow.kits.definition.known import Known
from stepflow.kits.definition.values.templates import fill
from stepflow.kits.definition.work import work_of


class MapInput(KindInput):
    """A list, and what is done with each item: `{item}` and `{index}` are it and its place."""

    over: list[Any]
    kind: str
    """A kind of work, or run with a runner."""
    input: dict[str, Any] = Field(default={})
    """As for that kind."""
    limit: int = Field(default=10, ge=1)
    """Items in progress at once."""
    errors: Literal["raise", "keep"] = "raise"
    """Fail at the first item that fails for good, or have `{error}` in its place."""


class Map(Flow):
    """A call for each item; its value is the list of their values, in the order of the items."""

    name = "map"
    Input = MapInput
    options = frozenset({"compensate", "retry", "timeout"})
    has_env = True
    deferred = frozenset({"input"})

    def faults(self, given: Mapping[str, Any], known: Known) -> Iterator[tuple[Way, str]]:
        kind, inner = known.kinds.get(str(given.get("kind"))), given.get("input", {})
        if not isinstance(kind, Work | Run):
            named = ", ".join(name for name, each in known.kinds.items() if isinstance(each, Work))
            yield ("kind",), f"a map does work ({named}) or run for each item"
        elif isinstance(inner, dict):
            for way, problem in (*form_faults(kind.Input, inner), *kind.faults(inner, known)):
                yield ("input", *way), problem

    async def carry(self, given: MapInput, at: At) -> Any:
        kind = at.driver.known.kinds.get(given.kind)
        if isinstance(kind, Run):
            return await self._children(kind, given, at)
        if not isinstance(kind, Work):
            msg = f"a map cannot do kind {given.kind!r} for each item"
            raise PermanentError(msg)
        return await self._batch(given, at)

    async def _batch(self, given: MapInput, at: At) -> Any:
        driver, step = at.driver, at.step

        async def each(numbered: tuple[int, Any]) -> Any:
            return await work_of(driver.known, given.kind, self._filled(given, at, *numbered))

        found = await at.ctx.batch(
            f"{step.id}.each", each, list(enumerate(given.over)), limit=given.limit,
            errors="slot" if given.errors == "keep" else "raise",
            retry=None if step.retry is None else step.retry.policy(), timeout=step.timeout,
        )  # fmt: skip
        return [_kept(value) for value in found]

    async def _children(self, kind: Run, given: MapInput, at: At) -> Any:
        read: list[RunInput] = [
            read_input(kind, self._filled(given, at, number, item).value)
            for number, item in enumerate(given.over)
        ]
        runners = {each.runner for each in read}
        if not read:
            return []
        if len(runners) > 1 or None in runners:
            msg = "a map of runs has one runner for all items, and no definition"
            raise PermanentError(msg)
        found = await at.ctx.map(
            str(read[0].runner), [each.input for each in read], limit=given.limit,
            join="settled" if given.errors == "keep" else "all", timeout=at.step.timeout,
        )  # fmt: skip
        return [_kept(value) for value in found]

    def _filled(self, given: MapInput, at: At, index: int, item: Any) -> Any:
        scope = {**at.driver.scope, "item": item, "index": index}
        return fill(given.input, scope, at.driver.skipped)


def _kept(value: Any) -> Any:
    if isinstance(value, Failed):
        return {"error": str(value.error)}
    return {"error": str(value)} if isinstance(value, ChildFailed) else value
