"""What a call costs: an exact amount of money, and tokens."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, InvalidOperation

from stepflow.errors import InvalidOption, shown

#: an amount in US dollars as users write it; a float is refused, for it is no exact amount
Money = Decimal | int | str

#: the parts of a dollar in which amounts are counted
MICROS = 1_000_000
#: micro-dollars and tokens that one amount may have at most: scripts count exactly up to 2^53
MOST = 10**14


def micros(amount: Money, what: str) -> int:
    """
    Turn dollars into whole micro-dollars, rounded up.

    Raises InvalidOption, which names *what*, for a float and for what is no amount from 0 up.
    """
    if isinstance(amount, str | int | Decimal) and not isinstance(amount, bool):
        try:
            exact = Decimal(amount)
        except InvalidOperation:
            exact = Decimal("NaN")
        if exact.is_finite() and 0 <= exact * MICROS <= MOST:
            return int((exact * MICROS).to_integral_value(ROUND_CEILING))
    advice = f"; write usd={str(amount)!r}: a float is no exact amount" * isinstance(amount, float)
    msg = f"usd of {what} is {shown(amount)}; it is an amount in dollars from 0, such as '0.50'"
    raise InvalidOption(msg + advice)


def dollars(amount: int) -> Decimal:
    """Turn micro-dollars into dollars."""
    return Decimal(amount).scaleb(-6)


def whole(number: object, what: str) -> int:
    """Return *number* if it counts tokens; raises InvalidOption, which names *what*."""
    if isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= MOST:
        return number
    msg = f"tokens of {what} is {shown(number)}; it is a whole number from 0 to {MOST:,}"
    raise InvalidOption(msg)


@dataclass(frozen=True, slots=True)
class Cost:
    """
    What a call costs, or has cost: dollars as Decimal, int or str, and tokens.

    *usd* is None where nobody knows the price. With *is_least* the call has cost that much at
    least, and at most what was reserved for it: of an answer that was cut off, say.
    """

    usd: Money | None = None
    tokens: int = 0
    is_least: bool = False

    def __post_init__(self) -> None:
        if self.usd is not None:
            micros(self.usd, "a Cost")
        whole(self.tokens, "a Cost")

    @property
    def micros(self) -> int | None:
        """The dollars as micro-dollars, rounded up; None for an unknown price."""
        return None if self.usd is None else micros(self.usd, "a Cost")


#: what a call has cost that was never made, or that the provider has refused
NOTHING = Cost(0, 0)
