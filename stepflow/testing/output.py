"""What a function emits in a unit test, outside of any run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any

from stepflow.core.output import OutputItem
from stepflow.engine.events.emitting import pack_output
from stepflow.logs import StepFacts, code
from stepflow.settings import LimitSettings
from stepflow.store.values.codec import unpack


class _Capture:
    """Keeps items instead of sending them, as a reader would get them."""

    def __init__(self) -> None:
        self.items: list[OutputItem] = []

    @property
    def facts(self) -> StepFacts | None:
        return None

    def emit(self, data: Any, topic: str) -> Awaitable[None]:
        packed = pack_output(data, topic, LimitSettings().output_item_bytes)
        self.items.append(OutputItem(f"1-{len(self.items) + 1}", unpack(packed), topic, "0"))
        return _Done()


class _Done:
    """Is done when it is awaited, and need not be."""

    def __await__(self) -> Any:
        return asyncio.sleep(0).__await__()


@contextmanager
def captured_output() -> Iterator[list[OutputItem]]:
    """
    Take what is emitted in the block, and give it as a list.

    `with captured_output() as items:` works in any test; no run and no worker are needed.
    """
    capture = _Capture()
    token = code.set(capture)
    try:
        yield capture.items
    finally:
        code.reset(token)
