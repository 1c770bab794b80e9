"""What a completion of a `Provider` spends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from stepflow.agents.budgets.prices import Price, at_most, is_unbilled
from stepflow.agents.providers.cut import Spoken, at_least
from stepflow.agents.providers.errors import kind_of
from stepflow.agents.providers.model import Completion, CompletionRequest, Provider, Usage
from stepflow.core.budgets.budget import Budget, Spending
from stepflow.core.budgets.cost import NOTHING, Cost
from stepflow.errors import InvalidOption

#: what a provider says when it has done nothing
_REFUSED = frozenset({"overloaded", "quota", "prompt_too_long"})


def spending_of(
    budgets: Sequence[Budget],
    provider: Provider,
    request: CompletionRequest,
    spoken: Spoken | None = None,
) -> Spending:
    """
    Say what *provider* spends to answer *request*, and has *spoken* where that is cut off.

    Its price is what its method `price` says of a Usage, in dollars; without one nobody knows it.
    Raises InvalidOption where the answer has no limit.
    """
    most = request.max_tokens
    if most is None:
        msg = (
            f"model {provider.name!r} is to spend of budget {budgets[0].name!r}, and nobody knows "
            "how long its answer may be; pass max_tokens="
        )
        raise InvalidOption(msg)
    price = _price(provider)

    def used(came_to: Any) -> Cost | None:
        if isinstance(came_to, Completion):
            usage = came_to.usage
            cost = price(usage.input_tokens, usage.output_tokens, usage.cached_tokens)
            return Cost(cost, usage.input_tokens + usage.output_tokens)
        if isinstance(came_to, Exception) and (
            kind_of(came_to) in _REFUSED or is_unbilled(came_to)
        ):
            return NOTHING
        return None if spoken is None else at_least(spoken.pieces, price)

    parts = len(request.messages) + len(request.tools) + 1
    return Spending(budgets, lambda: at_most(_weight(request), parts, most, price), used)


def _price(provider: Provider) -> Price:
    own = getattr(provider, "price", None)
    if own is None:
        return lambda *_: None
    return lambda given, answered, cached: own(Usage(given, answered, cached, 1))


def _weight(request: CompletionRequest) -> int:
    """Count the bytes of all that the model is given."""
    tools = (*request.tools, *(() if request.answer is None else (request.answer,)))
    written = [asdict(each) for each in request.messages], [asdict(each) for each in tools]
    return len(json.dumps(written, default=str, ensure_ascii=False).encode("utf-8", "replace"))
