"""An app whose runs end in each way that is counted."""

from __future__ import annotations

from typing import Any

import pytest

from stepflow import (
    Cancel,
    Context,
    Continue,
    PermanentError,
    RetryPolicy,
    Step,
    Stepflow,
    Succeed,
    TransientError,
)

QUICK = RetryPolicy(max_attempts=2, initial=0.001, jitter=False)


class CardDeclined(Exception):
    """An error of the app's own."""


@pytest.fixture
def counted_app(app: Stepflow) -> Stepflow:
    """The app of the test, with runners and a workflow that end as their payload says."""

    @app.runner("chain", retry=QUICK)
    async def chain(step: Step[Any]) -> Any:
        match step.payload:
            case "cancel":
                return Cancel("enough")
            case "retry" if step.attempt == 1:
                raise TransientError("not yet")
            case "fail":
                raise PermanentError("no")
        return Continue("last") if step.payload == "two steps" else Succeed()

    async def charge(declines: bool) -> int:
        if declines:
            raise CardDeclined("by the bank")
        return 1

    @app.workflow("flow")
    async def flow(ctx: Context, declines: bool) -> int:
        first = await ctx.step(charge, False)
        return first + await ctx.step(charge, declines, retry=QUICK)

    return app
