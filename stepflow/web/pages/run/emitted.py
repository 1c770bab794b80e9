"""What a run emits, as a page shows it: pieces of text that follow each other are one text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

from stepflow.core.output import TOPIC, OutputItem
from stepflow.web.pages.visit import Visit


class Chunk(NamedTuple):
    """Some items of one topic; *text* is None for data that is no text."""

    topic: str
    text: str | None
    data: Any = None


def chunks(items: Sequence[OutputItem], visit: Visit) -> list[Chunk]:
    """Join the items of a run that are pieces of a text; the oldest come first."""
    seen = [(item.topic, visit.shown("output", item.data)) for item in items]
    found: list[Chunk] = []
    for (topic, is_text), group in groupby(seen, key=_kind):
        topic = "" if topic == TOPIC else topic  # noqa: PLW2901  the usual one goes without saying
        if is_text:
            found.append(Chunk(topic, "".join(data for _, data in group)))
        else:
            found += [Chunk(topic, None, data) for _, data in group]
    return found


def _kind(item: tuple[str, Any]) -> tuple[str, bool]:
    return item[0], isinstance(item[1], str)
