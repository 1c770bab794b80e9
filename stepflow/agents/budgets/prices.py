"""What calls of models cost: at most before them, and after them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from stepflow.core.budgets.cost import Cost

#: tokens with which each message and tool is wrapped up, at most
WRAPPING = 32
#: statuses of HTTP from here on say that nothing was answered, and so billed
_FAILED = 400
#: links of a chain of causes that are looked at
_DEEPEST = 5

#: gives dollars for tokens of input and output, and for those of the input that were cached
Price = Callable[[int, int, int], Decimal | None]


def price_of(model: str, provider: str | None = None, url: str | None = None) -> Price:
    """Return what gives prices of calls of *model*, by genai-prices; None for an unknown one."""

    def price(given: int, answered: int, cached: int) -> Decimal | None:
        try:
            from genai_prices import Usage, calc_price  # noqa: PLC0415  an extra
        except ModuleNotFoundError:
            return None
        usage = Usage(input_tokens=given, output_tokens=answered, cache_read_tokens=cached)
        where = {"provider_id": provider} if url is None else {"provider_api_url": url}
        for at in (where, {"provider_id": provider}, {}):
            try:
                return Decimal(calc_price(usage, model, **at).total_price)
            except (LookupError, ValueError):
                continue
        return None

    return price


def at_most(given_bytes: int, parts: int, max_tokens: int, price: Price) -> Cost:
    """
    Say what a call costs at most.

    No vocabulary has more tokens for a text than that has bytes; *parts* counts messages and tools.
    """
    given = given_bytes + parts * WRAPPING
    return Cost(price(given, max_tokens, 0), given + max_tokens)


def is_unbilled(error: BaseException) -> bool:
    """Whether a provider has refused the call by HTTP: it has answered nothing, and bills none."""
    found: BaseException | None = error
    for _ in range(_DEEPEST):
        if found is None:
            return False
        status = getattr(found, "status_code", None)
        if isinstance(status, int) and status >= _FAILED:
            return True
        found = found.__cause__
    return False
