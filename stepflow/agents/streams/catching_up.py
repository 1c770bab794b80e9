"""
Readers that come late, or come back: what is there already in one piece for each part.

Pieces of parts that were said at the same time stand mixed in the run's output. A *block* has
those that a reader has not got yet, put together. Nothing in the output stands for a place in the
middle of a block, so its events have ids of their own: the block is put together again from its
begin to its end, and as many of its events are left out as the reader has.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from stepflow.agents.streams.pieces import MODEL, Piece
from stepflow.client import AsyncClient
from stepflow.core.ids import whole_number
from stepflow.core.output import OutputEnd, OutputEvent, OutputGap, OutputItem, OutputReset

#: stands between the parts of a place in a block; no id of the output has it
_SEPARATOR = "~"


@dataclass(frozen=True, slots=True)
class Place:
    """
    How far a reader is: *seen* events of the block that goes from after *begin* to *end*.

    *begin* is None for a block from the very beginning.
    """

    begin: str | None
    end: str
    seen: int

    def write(self) -> str:
        """Write it as the id of an event."""
        return _SEPARATOR.join((self.end, str(self.seen), self.begin or ""))

    @classmethod
    def read(cls, after: str | None) -> Place | None:
        """Read it back; None for an id of the output itself, and for what is no place."""
        end, _, rest = (after or "").partition(_SEPARATOR)
        seen, _, begin = rest.partition(_SEPARATOR)
        number = whole_number(seen)
        return None if number is None or not _number(end) else cls(begin or None, end, number)


async def caught_up(
    client: AsyncClient, run_id: str, *, after: str | None = None
) -> AsyncIterator[OutputEvent]:
    """
    Follow what the models of a run say: each part that is there in one piece, then as it comes.

    Pass the id of the last event that you have as *after*, to continue after it. Raises
    RunNotFound.
    """
    place = Place.read(after)
    if place is not None:
        past = await _past(client, run_id, place.begin, place.end)
        for event in _rest(past, place):
            yield event
        after = place.end
    past = await _past(client, run_id, after, None)
    for event in block(past, after):
        yield event
    last = next((event.id for event in reversed(past) if event.id), after)
    async for event in client.output(run_id, after=last, topics=MODEL):
        yield event


async def _past(
    client: AsyncClient, run_id: str, after: str | None, end: str | None
) -> list[OutputEvent]:
    """Read what is there after *after*, to *end*."""
    found: list[OutputEvent] = []
    async for event in client.output(run_id, after=after, topics=MODEL, live=False):
        if isinstance(event, OutputEnd):
            break
        if end is not None and event.id is not None and _number(event.id) > _number(end):
            break
        found.append(event)
    return found


def _number(event_id: str) -> tuple[int, ...]:
    """Give the numbers that an event's id is made of; none for what is no such id."""
    found = [whole_number(part) for part in event_id.split("-")]
    numbers = tuple(each for each in found if each is not None)
    return numbers if len(numbers) == len(found) == 2 else ()  # noqa: PLR2004  time and number


def block(past: Sequence[OutputEvent], begin: str | None) -> list[OutputEvent]:
    """Put together what came after *begin*; what is void is left out."""
    resets = {event.scope: at for at, event in enumerate(past) if isinstance(event, OutputReset)}
    gaps = [event for event in past if isinstance(event, OutputGap)]
    parts: dict[tuple[str | None, int], OutputItem] = {}
    for at, event in enumerate(past):
        if isinstance(event, OutputItem) and at > resets.get(event.scope or "", -1):
            part = event.scope, event.data["part"]
            before = parts.get(part)
            parts[part] = event if before is None else _joined(before, event)
    # a reader from the beginning has nothing to drop
    drops = [past[at] for at in resets.values()] if begin is not None else []
    made: list[OutputEvent] = [*gaps, *drops, *parts.values()]
    ends = [event.id for event in past if event.id]
    if not ends:
        return made
    last = len(made) - 1
    return [
        replace(event, id=ends[-1] if at == last else Place(begin, ends[-1], at + 1).write())
        for at, event in enumerate(made)
    ]


def _rest(past: Sequence[OutputEvent], place: Place) -> list[OutputEvent]:
    """Give what a reader at *place* lacks of its block."""
    if not any(isinstance(event, OutputGap) for event in past):
        return block(past, place.begin)[place.seen :]
    # some of the block is gone, and nobody knows what the reader has of it: what is left comes once
    # more, and again from its top to one who drops meanwhile
    known = dict.fromkeys(event.scope for event in past if isinstance(event, OutputItem))
    drops = [OutputReset(place.end, scope) for scope in known if scope is not None]
    left: list[OutputEvent] = [*drops, *block(past, place.begin)]
    again = [replace(event, id=place.write()) for event in left[:-1]]
    return [*again, replace(left[-1], id=place.end)]


def _joined(before: OutputItem, after: OutputItem) -> OutputItem:
    first: Piece = before.data
    piece: Piece = after.data
    whole: Piece = {**piece, **first, "add": first.get("add", "") + piece.get("add", "")}
    if piece.get("end"):
        whole["end"] = True
    return replace(after, data=whole)
