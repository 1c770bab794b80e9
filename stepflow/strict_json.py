"""JSON that comes from outside, with no number that a run could not give back as JSON."""

from __future__ import annotations

import json
import math
from typing import Any


def parse_json(text: str) -> Any:
    """
    Parse JSON as RFC 8259 has it.

    Raises ValueError for what is none, among it NaN and Infinity, and for numbers that would become
    infinite; RecursionError for what is nested too deeply.
    """
    return json.loads(text, parse_constant=_refuse, parse_float=_finite)


def _refuse(constant: str) -> None:
    msg = f"{constant} is none of JSON's values"
    raise ValueError(msg)


def _finite(number: str) -> float:
    found = float(number)
    if math.isinf(found):
        msg = f"{number[:60]} is larger than any number that is kept"
        raise ValueError(msg)
    return found
