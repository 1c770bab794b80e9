"""
What an answer that was cut off has cost at least: each piece that came of it is a token or more.

An attempt that fails in the middle leaves that to the attempts after it, so that the ledger of the
answer which comes in the end has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar

from stepflow.agents.budgets.prices import Price
from stepflow.core.budgets.cost import Cost
from stepflow.errors import StepError
from stepflow.kits.flow.current_step import current_step

#: the memo, and the key of an error's data: tokens by attempt
CUT = "cut"


class Spoken:
    """How many pieces of an answer have come in the attempt under way."""

    __slots__ = ("pieces",)

    def __init__(self) -> None:
        self.pieces = 0


#: of the call that the present code makes; None where nothing is streamed
spoken: ContextVar[Spoken | None] = ContextVar("stepflow_agent_spoken", default=None)


def at_least(answered: int, price: Price, given: int = 0) -> Cost | None:
    """Say what an answer has cost at least, by its tokens and those it was *given*; else None."""
    tokens = given + answered
    return Cost(price(given, answered, 0), tokens, is_least=True) if tokens else None


async def note_cut(error: Exception, pieces: int) -> None:
    """Leave to later attempts, and to whoever gets *error*, that so many pieces had come."""
    step = current_step()
    if step is None or not pieces:
        return
    cut = {**await cut_before(), step.attempt: pieces}
    if isinstance(error, StepError) and (error.data is None or isinstance(error.data, dict)):
        error.data = {**(error.data or {}), CUT: [[*each] for each in cut.items()]}
    if not step.is_last_attempt:
        await step.memo.put(CUT, [[*each] for each in cut.items()])


async def cut_before() -> Mapping[int, int]:
    """Give the tokens of attempts before the present one that were cut off, by attempt."""
    step = current_step()
    return {} if step is None else dict(await step.memo.get(CUT, []))
