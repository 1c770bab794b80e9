"""
Histories that an older pydantic-ai has left are gone on with by the one at hand.

`python -m tests.agents.pydantic_ai.test_histories` records them, under whatever version is
installed; those in `histories/` are of the oldest that is supported.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stepflow import Context, Stepflow
from stepflow.testing import Harness
from tests.agents.pydantic_ai.desk import Desk, refund
from tests.agents.pydantic_ai.shop import Shop
from tests.agents.pydantic_ai.test_sub_agents import Desk as Editors

pytestmark = pytest.mark.crash


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Collect it here, and not in whichever test comes next."""
    yield
    gc.collect()


KEPT = Path(__file__).parent / "histories"


def apps() -> Stepflow:
    """Make an app with workflows of all kinds: tools at once, questions, sub-agents, a sleep."""
    app, shop, editors = Stepflow(), Shop(), Editors()
    desk = Desk(refund(5, "c1"), refund(6, "c2"))

    @app.workflow("shop")
    async def at_once(ctx: Context) -> str:
        output = (await shop.agent.run("what is there?")).output
        await ctx.sleep(60)
        return output

    @app.workflow("desk")
    async def asked(ctx: Context) -> str:
        output = (await desk.agent.run("my money back")).output
        await ctx.sleep(60)
        return output

    @app.workflow("editor")
    async def nested(ctx: Context) -> str:
        return await editors.run(ctx)

    return app


async def record() -> dict[str, Any]:
    """Give a history of each workflow, from its begin to its end."""
    found = {}
    async with Harness(apps()) as h:
        for name in ("shop", "desk", "editor"):
            run = await h.submit(name)
            for question in await h.client.questions():
                await h.client.answer(question.token, True)
            await h.advance(60)
            assert await h.result(run)
            found[name] = await h.history(run)
    return found


@pytest.mark.parametrize("name", ["shop", "desk", "editor"])
async def test_a_history_of_the_oldest_version_is_replayed_by_the_one_at_hand(name: str) -> None:
    """[A5] Whole, and from wherever it was when the newer version was deployed."""
    history = json.loads((KEPT / f"{name}.json").read_text())
    async with Harness(apps()) as h:
        for length in range(len(history["journal"]) + 1):
            cut = {**history, "journal": history["journal"][:length]}
            await h.replay(cut)


def main() -> None:
    KEPT.mkdir(exist_ok=True)
    for name, history in asyncio.run(record()).items():
        (KEPT / f"{name}.json").write_text(json.dumps(history, indent=1, default=str) + "\n")


if __name__ == "__main__":
    sys.exit(main())
