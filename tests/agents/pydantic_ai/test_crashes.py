"""An agent whose worker dies: at every write, and inside every one of its calls."""

from __future__ import annotations

from typing import Any

import pytest

from stepflow import ClaimLost, Succeed
from tests.agents.pydantic_ai.shop import UNITS, Shop
from tests.kits.memory import MemoryRuntime, to_the_end

pytestmark = pytest.mark.crash


async def the_uncrashed() -> Any:
    shop = Shop()
    ended = await to_the_end(MemoryRuntime(), shop.run)
    assert isinstance(ended, Succeed), ended
    assert len(shop.begun) == UNITS
    return ended.result


async def test_a_crash_at_every_write_leads_to_the_same_end_and_repeats_no_call_that_was_kept() -> (
    None
):
    """[A2] Output, messages and usage are those of the run that did not crash."""
    expected = await the_uncrashed()
    for crash_after in range(1, UNITS + 1):
        shop, runtime = Shop(), MemoryRuntime()
        runtime.crash_after = crash_after
        with pytest.raises(ClaimLost):
            await to_the_end(runtime, shop.run)
        kept = len(runtime.journal)
        before = sum(shop.begun.values())
        runtime.crash_after = None
        assert await to_the_end(runtime, shop.run) == Succeed(expected), crash_after
        assert kept == crash_after
        assert sum(shop.begun.values()) == before + UNITS - kept
        assert max(shop.begun.values()) <= 2


async def test_a_crash_inside_every_call_repeats_what_was_under_way_and_nothing_else() -> None:
    """[A2]"""
    expected = await the_uncrashed()
    whole = Shop()
    await to_the_end(MemoryRuntime(), whole.run)
    for dies_in in whole.begun:
        shop, runtime = Shop(dies_in), MemoryRuntime()
        with pytest.raises(ClaimLost):
            await to_the_end(runtime, shop.run)
        assert await to_the_end(runtime, shop.run) == Succeed(expected), dies_in
        assert shop.begun[dies_in] == 2
        assert shop.finished[dies_in] == 1
        assert max(shop.begun.values()) <= 2
