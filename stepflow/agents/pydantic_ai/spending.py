"""What a model request of an agent spends of budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter
from pydantic_ai import RunContext
from pydantic_ai.messages import ModelMessagesTypeAdapter
from pydantic_ai.models import Model, ModelRequestParameters

from stepflow.agents.budgets.prices import at_most, is_unbilled, price_of
from stepflow.agents.providers.cut import at_least
from stepflow.agents.pydantic_ai.errors import streamed_usage
from stepflow.agents.streams.pieces import Piece, tokens_in
from stepflow.core.budgets.budget import Budget, Spending
from stepflow.core.budgets.cost import NOTHING, Cost
from stepflow.errors import InvalidOption

_anything: TypeAdapter[Any] = TypeAdapter(Any)


def spending_of(
    budgets: Sequence[Budget],
    run: RunContext[Any] | None,
    given: tuple[object, ...],
    pieces: Sequence[Piece],
) -> Spending:
    """
    Say what a request spends, by what it is *given*; if it is cut off, by the *pieces* that came.

    Raises InvalidOption without max_tokens.
    """
    settings = next((part for part in given if isinstance(part, Mapping)), {})
    most = settings.get("max_tokens")
    if not isinstance(most, int):
        msg = (
            f"the agent is to spend of budget {budgets[0].name!r}, and nobody knows how long an "
            "answer may be; give it model_settings={'max_tokens': ...}"
        )
        raise InvalidOption(msg)
    model = None if run is None else run.model
    price = _price(model)

    def used(came_to: Any) -> Cost | None:
        if came_to is None or isinstance(came_to, BaseException):
            if came_to is not None and is_unbilled(came_to):
                return NOTHING
            given, answered = streamed_usage(came_to)
            return at_least(max(answered, tokens_in(pieces)), price, given)
        usage = came_to["usage"]
        tokens = (usage["input_tokens"], usage["output_tokens"])
        return Cost(price(*tokens, usage.get("cache_read_tokens", 0)), sum(tokens))

    return Spending(budgets, lambda: _at_most(given, most, model), used)


def _price(model: object) -> Any:
    if not isinstance(model, Model):
        return lambda *_: None
    return price_of(model.model_name, model.system, model.base_url)


def _at_most(given: tuple[object, ...], most: int, model: object) -> Cost:
    """Weigh what the model is given; only live, for a long conversation weighs a lot."""
    bytes_, parts = 0, 1
    for part in given:
        if isinstance(part, list):
            bytes_ += len(ModelMessagesTypeAdapter.dump_json(part))
            parts += len(part)
        elif isinstance(part, ModelRequestParameters):
            bytes_ += len(_anything.dump_json(part, fallback=str))
            parts += len(part.function_tools) + len(part.output_tools)
    return at_most(bytes_, parts, most, _price(model))
