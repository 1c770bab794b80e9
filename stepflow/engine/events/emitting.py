"""An emitted item as it is stored."""

from __future__ import annotations

from typing import Any

from stepflow.core.output import check_topic
from stepflow.errors import PayloadTooLarge
from stepflow.store.values.codec import pack

#: what an item is called in errors
_WHAT = "an emitted item"


def pack_output(data: Any, topic: str, limit: int) -> bytes:
    """Pack an item; raises UnsupportedValue, PayloadTooLarge, InvalidOption for its topic."""
    check_topic(topic)
    packed = pack(data, what=_WHAT)
    if len(packed) > limit:
        raise PayloadTooLarge(_WHAT, len(packed), limit, setting="OUTPUT_ITEM_BYTES")
    return packed
