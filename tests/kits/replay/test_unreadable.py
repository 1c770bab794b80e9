"""A remembered value that the code cannot read any more, with more remembered after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from stepflow import Context
from stepflow.core.outcomes import Pause
from stepflow.errors import ClaimLost
from tests.kits.memory import MemoryRuntime, activate


@dataclass
class Now:
    name: str


async def test_the_reason_is_the_value_and_not_that_the_function_ends() -> None:
    runtime = MemoryRuntime()

    def workflow(kind: Any) -> Any:
        async def find() -> Any:
            return {"title": "x"}

        find.__annotations__["return"] = kind

        async def run(ctx: Context) -> None:
            await ctx.step("find", find)
            await ctx.step("use", int)

        return run

    runtime.crash_after = 2
    with pytest.raises(ClaimLost):
        await activate(runtime, workflow(dict))
    runtime.crash_after = None
    outcome = await activate(runtime, workflow(Now))
    assert isinstance(outcome, Pause)
    assert "the result of 'find' does not fit its return annotation: name" in outcome.reason
    assert "> " in outcome.diff
