"""Which budgets the calls of models spend of, in a block of workflow code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from stepflow.core.budgets.budget import Budget
from stepflow.errors import InvalidOption, shown

_charged: ContextVar[tuple[Budget, ...]] = ContextVar("stepflow_charged", default=())


@contextmanager
def charging(*budgets: Budget) -> Iterator[None]:
    """
    Have the calls of models in this block spend of *budgets*.

    `with charging(ctx.budget("order", usd="0.50")): await agent.run(question)`. Blocks within add
    to those around. Each call needs a limit of its answer, `max_tokens`: else nobody can say what
    it costs at most.
    """
    token = _charged.set((*_charged.get(), *checked(budgets)))
    try:
        yield
    finally:
        _charged.reset(token)


def charged(own: Budget | Sequence[Budget] | None = None) -> tuple[Budget, ...]:
    """Name the budgets of the block that the present code stands in, and its *own*."""
    more = () if own is None else (own,) if isinstance(own, Budget) else tuple(own)
    return (*_charged.get(), *checked(more))


def checked(budgets: Sequence[object]) -> tuple[Budget, ...]:
    """Return *budgets* if they are budgets; raises InvalidOption."""
    found = tuple(each for each in budgets if isinstance(each, Budget))
    if len(found) == len(budgets):
        return found
    wrong = next(each for each in budgets if not isinstance(each, Budget))
    msg = f"{shown(wrong)} is no budget; write stepflow.budget('name', usd=...)"
    raise InvalidOption(msg)
