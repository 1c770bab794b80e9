"""Names are asked of the system's resolver without one holding up another."""

import asyncio
import socket
from threading import Event
from typing import Any

import pytest

from stepflow.hooks.resolver import Resolver


async def test_a_name_of_this_machine_is_found() -> None:
    assert {"127.0.0.1", "::1"} & set(await Resolver()("localhost", 80))


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> tuple[Event, list[str]]:
    """
    A name server that answers for `*.stuck` only once the event is set; the names it was asked for.
    """
    free, asked, real = Event(), [], socket.getaddrinfo

    def answer(host: str, *args: Any, **options: Any) -> Any:
        asked.append(host)
        if host.endswith(".stuck"):
            free.wait()
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        if host == "scoped":
            return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2606:4700::1", 80, 0, 2))]
        return real(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return free, asked


async def test_names_whose_server_is_stuck_hold_up_no_other(stuck: tuple[Event, list[str]]) -> None:
    free, asked = stuck
    names = Resolver()
    waiting = [asyncio.create_task(names(f"{number % 40}.stuck", 80)) for number in range(80)]
    try:
        assert await names("localhost", 80)
        assert not any(task.done() for task in waiting)
    finally:
        free.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(answer, socket.gaierror) for answer in answers)
    assert len([host for host in asked if host.endswith(".stuck")]) == 40, (
        "each name once at a time"
    )


async def test_who_gives_up_waiting_leaves_the_question_to_the_next(
    stuck: tuple[Event, list[str]],
) -> None:
    free, asked = stuck
    names = Resolver()
    first = asyncio.create_task(names("a.stuck", 80))
    await asyncio.sleep(0)
    first.cancel()
    second = asyncio.create_task(names("a.stuck", 80))
    await asyncio.sleep(0)
    free.set()
    with pytest.raises(socket.gaierror):
        await second
    assert asked == ["a.stuck"]
    with pytest.raises(socket.gaierror):
        await names("a.stuck", 80)
    assert asked == ["a.stuck"] * 2, "an answer is not kept"


async def test_a_loop_that_ended_leaves_no_question_to_the_next_loop(
    stuck: tuple[Event, list[str]],
) -> None:
    """What a process asks outlives `asyncio.run`: no later loop could await the old answer."""
    free, _ = stuck
    names = Resolver()

    async def given_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(names("a.stuck", 80), 0.05)

    await asyncio.to_thread(asyncio.run, given_up())
    free.set()
    with pytest.raises(socket.gaierror):
        await names("a.stuck", 80)
    assert names._asked == {}


async def test_a_scope_stays_with_its_address_for_the_guard_to_see(
    stuck: tuple[Event, list[str]],
) -> None:
    assert await Resolver()("scoped", 80) == ["2606:4700::1%2"]


async def test_what_is_no_host_name_is_an_os_error() -> None:
    with pytest.raises(OSError, match="not a host name"):
        await Resolver()("a" * 64 + ".test", 80)
