"""An agent whose worker is gone at each of its journal writes, one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from stepflow import Context
from stepflow.core.outcomes import Outcome, Park, Succeed
from stepflow.errors import ClaimLost
from tests.kits.memory import MemoryRuntime, to_the_end

#: makes a workflow; what it does to the outside it counts, by unit
MakeAgent = Callable[[Counter[str]], Callable[[Context], Awaitable[Any]]]


async def carry(runtime: MemoryRuntime, agent: Any) -> Outcome:
    """Carry a run to its end; whoever is asked says yes."""
    while True:
        outcome = await to_the_end(runtime, agent)
        if not isinstance(outcome, Park):
            return outcome
        while runtime.asks:
            digest = next(iter(runtime.asks))
            del runtime.asks[digest]
            runtime.replies[digest] = b"\xc3"  # True, as msgpack has it
            runtime.inbox += 1


async def crash_at_every_write(make: MakeAgent, *, in_flight: int = 1) -> MemoryRuntime:
    """
    Have the worker die at each journal write: the result is the same, at most what was in flight
    is called again, and a replay calls nothing. Returns the uncrashed run.
    """
    calls: Counter[str] = Counter()
    whole = MemoryRuntime()
    expected = await carry(whole, make(calls))
    assert isinstance(expected, Succeed), expected
    assert set(calls.values()) == {1}, calls
    for crash_after in range(len(whole.journal) + 1):
        runtime, again = MemoryRuntime(), Counter[str]()
        agent = make(again)
        runtime.crash_after = crash_after
        try:
            await carry(runtime, agent)
        except ClaimLost:
            runtime.crash_after = None
        outcome = await carry(runtime, agent)
        assert isinstance(outcome, Succeed), (crash_after, outcome)
        assert outcome.result == expected.result, crash_after
        repeated = again - calls
        assert set(again) == set(calls), crash_after
        assert repeated.total() <= in_flight, (crash_after, repeated)
        assert max(again.values()) <= 2, (crash_after, again)
        before = Counter(again)
        await carry(runtime, agent)
        assert again == before, (crash_after, again - before)
    return whole
