"""[A13] A reader that drops at any event, and goes on after it, ends with what was committed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from stepflow import (
    AsyncClient,
    InvalidOption,
    OutputEnd,
    OutputGap,
    OutputItem,
    OutputReset,
    OutputView,
    Stepflow,
)
from stepflow.agents.streams import assemble, caught_up
from stepflow.agents.streams.catching_up import Place
from stepflow.core.output import OutputEvent


def piece(number: int, scope: str, add: str, **more: Any) -> OutputItem:
    data = {"part": more.pop("part", 0), "kind": "text", "add": add, **more}
    return OutputItem(f"1-{number}", data, "model", scope)


#: two models talk at once, one of them in two parts; the other is asked a second time
STREAM: list[OutputEvent] = [
    piece(1, "a", "one "), piece(2, "a", "two "), piece(3, "b", "void "), piece(4, "a", "three"),
    piece(5, "a", "", end=True), OutputReset("1-6", "b", 2), piece(7, "b", "yes"),
    piece(8, "a", "four", part=1), piece(9, "b", "!", end=True), OutputReset("1-10", "c", 2),
    OutputEnd("1-10", "succeeded"),
]  # fmt: skip


class Client:
    """Gives what is there, which grows by one event with each read that waits."""

    def __init__(self, there: int) -> None:
        self.there, self.gone = there, 0

    async def output(
        self, run_id: str, *, after: str | None, topics: str, live: bool = True
    ) -> AsyncIterator[OutputEvent]:
        seen = 0 if after is None else 1 + next(i for i, e in enumerate(STREAM) if e.id == after)
        if seen < self.gone:
            seen = self.gone
            yield OutputGap(STREAM[seen - 1].id, after)
        while seen < len(STREAM):
            if seen >= self.there:
                if not live:
                    return
                self.there += 1
            yield STREAM[seen]
            seen += 1


@pytest.mark.parametrize("there", range(len(STREAM)))
@pytest.mark.parametrize("takes", range(1, len(STREAM)))
async def test_a_reader_that_drops_after_so_many_events_goes_on_where_it_was(
    there: int, takes: int
) -> None:
    client, view, after = cast("AsyncClient", Client(there)), OutputView(), None
    for _ in STREAM:
        left = takes
        async for event in caught_up(client, "run", after=after):
            view.apply(event)
            after, left = event.id, left - 1
            if not left or view.state:
                break
        if view.state:
            break
    assert [answer.text for answer in assemble(view.items)] == ["one two threefour", "yes!"]
    assert view.state == "succeeded"


async def test_a_late_reader_gets_each_part_in_one_piece() -> None:
    """Also those that were said at the same time."""
    client = cast("AsyncClient", Client(len(STREAM)))
    found = [event async for event in caught_up(client, "run")]
    assert [event.data["add"] for event in found if isinstance(event, OutputItem)] == [
        "one two three", "yes!", "four",
    ]  # fmt: skip


async def test_of_a_block_that_is_partly_gone_the_rest_comes_anew() -> None:
    """The stream is bounded: nobody knows any more what such a reader has."""
    client = Client(len(STREAM))
    view = OutputView()
    first = await anext(caught_up(cast("AsyncClient", client), "run"))
    view.apply(first)
    client.gone, after = 4, first.id
    for takes in (1, 2, 3, 100):
        left = takes
        async for event in caught_up(cast("AsyncClient", client), "run", after=after):
            view.apply(event)
            after, left = event.id, left - 1
            if not left:
                break
    assert [answer.text for answer in assemble(view.items)] == ["four", "yes!"]


@pytest.mark.parametrize("seen", ["", "x", "\u00b2", "9" * 5000])
def test_what_is_no_place_of_a_reader_is_none(seen: str) -> None:
    """[A13] It comes from outside, in a header of the browser."""
    place = Place("1-1", "1-4", 2)
    assert Place.read(place.write()) == place
    assert Place.read(place.write().replace("2", seen)) is None


@pytest.mark.parametrize("end", ["", "x", "latest", "1", "1-x", "1-2-3", "9" * 5000 + "-1"])
async def test_an_id_that_no_event_had_is_refused(
    aclient: AsyncClient, app: Stepflow, end: str
) -> None:
    """[A13]"""
    app.runner("a")(lambda step: None)
    run = await aclient.submit("a")
    with pytest.raises(InvalidOption, match="is not a place in an output stream"):
        await anext(aiter(caught_up(aclient, run.id, after=f"{end}~1~")))
