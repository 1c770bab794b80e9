"""The app whose runs stand in the samples; its code must go on fitting them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from stepflow import Cancel, Continue, Fail, RetryPolicy, Step, Stepflow, Succeed
from stepflow.settings import RetentionSettings, Settings, WebhookSettings, WorkerSettings

#: values of every kind that msgpack lacks
ODD = {"at": datetime(2026, 1, 1, tzinfo=UTC), "price": Decimal("1.10"), 1: {"a"}, "big": 2**80}


#: fifty years, in seconds: samples are read for as long as their format is
FAR_S = 50 * 365.25 * 86_400.0


def make_app(url: str) -> Stepflow:
    """Make the app, on any Redis."""
    settings = Settings(
        worker=WorkerSettings(lease_s=2.0, grace_s=1.0, stop_grace_s=0.3),
        webhook=WebhookSettings(allow_cidrs=("127.0.0.0/8",)),
        retention=RetentionSettings(result_s=FAR_S, hook_s=FAR_S, delivered_s=FAR_S),
    )
    app = Stepflow(url, settings=settings)

    @app.runner("chain", retry=RetryPolicy(max_attempts=1))
    async def chain(step: Step[Any]) -> Any:
        match step.payload:
            case "fail":
                return Fail("as asked")
            case "cancel":
                return Cancel("as asked")
            case "later":
                return Continue("done", delay=FAR_S)
        return Succeed(step.payload)

    @app.workflow("talks")
    async def talks(ctx: Any, what: str) -> Any:
        first = await ctx.step("first", asyncio.sleep, 0, ODD)
        await ctx.vars.set("seen", 1)
        match what:
            case "signal":
                return [first, await ctx.wait_for_signal("go")]
            case "sleep":
                await ctx.sleep(FAR_S)
            case "question":
                return await ctx.ask(bool, "May it?")
            case "child":
                child = await ctx.spawn("talks", "signal")
                return await child.result()
            case "map":
                return await ctx.map("talks", ["signal", "signal"], limit=1)
        return first

    @app.on_terminal
    def note(outcome: Any) -> None:
        """A hook, so that ends leave deliveries."""

    return app
