"""[G8] What nobody uses costs nothing, and a timer that does not fire costs no more."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio

from stepflow import Context

_CONTROL = "SET last 1"


def said_by(real: Any, client: Any, runner: str) -> list[str]:
    """Return the commands of scripts for one run of *runner*, without what is new in each run."""
    with real.monitor() as monitor:
        run = client.submit(runner)
        run.result(60)
        real.set("last", 1)
        found = []
        for command in monitor.listen():
            if command["command"] == _CONTROL:
                break
            if f"run:{run.id}:journal" in command["command"]:
                found.append((command["client_type"], command["command"].split(" ")[0].upper()))
    return [name for kind, name in found if kind == "lua"]


async def test_timers_that_do_not_fire_send_the_commands_of_a_run_without(
    app, client, working, real
):
    """[G8]"""

    async def act(value: int) -> int:
        return value

    @app.workflow("plain")
    async def plain(ctx: Context) -> int:
        return sum([await ctx.step(act, value) for value in range(4)])

    @app.workflow("limited")
    async def limited(ctx: Context) -> int:
        total = 0
        for value in range(4):
            async with asyncio.timeout(3600):
                with anyio.fail_after(3600):
                    total += await ctx.step(act, value)
        return total

    async with working(app):
        ways = {
            name: await asyncio.to_thread(said_by, real, client, name)
            for name in ("plain", "limited")
        }
    real.delete("last")
    assert ways["plain"] == ways["limited"]
    assert ways["plain"].count("RPUSH") == 4
