"""What an ended workflow leaves: nothing that only a garbage collection would take apart."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from stepflow import Client, Context, Stepflow
from stepflow.kits.flow.commands.step import StepCommand
from stepflow.kits.flow.replay.activation import Activation
from stepflow.kits.flow.replay.loop import WorkflowLoop
from tests.conftest import Working
from tests.support import until

KINDS = (Activation, WorkflowLoop, Context, StepCommand)


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def left() -> list[str]:
    return [type(each).__name__ for each in gc.get_objects() if type(each) in KINDS]


@pytest.mark.usefixtures("uncollected")
async def test_an_ended_workflow_leaves_no_circle(
    app: Stepflow, client: Client, working: Working
) -> None:
    """A workflow of ten steps would spend a tenth of its time in collections."""

    async def double(n: int) -> int:
        return 2 * n

    @app.workflow("w")
    async def workflow(ctx: Context, n: int) -> int:
        for _ in range(3):
            n = await ctx.step("double", double, n)
        return n

    before = left()
    async with working(app):
        runs = [client.submit("w", n) for n in range(10)]
        for run in runs:
            await until(lambda run=run: run.status().state == "succeeded")
        assert left() == before
