"""How answers are written: UTF-8 JSON of what a client gives."""

from __future__ import annotations

import json
from typing import Any


def written(value: Any) -> bytes:
    """Write JSON's own types; half a surrogate pair, which has no UTF-8, is escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "backslashreplace")
