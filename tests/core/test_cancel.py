"""The cancel token: on the loop and in threads."""

import asyncio
import threading

import pytest

from stepflow.core.cancel import CancelToken
from stepflow.errors import CancelRequested


def test_a_token_that_was_not_fired_says_nothing():
    token = CancelToken()
    assert not token.is_set
    assert token.reason is None
    token.raise_if_set()
    assert token.wait_blocking(0) is False


@pytest.mark.parametrize("reason", ["enough", ""])
def test_a_fired_token_says_so_and_why(reason):
    token = CancelToken()
    token.fire(reason)
    assert (token.is_set, token.reason, token.wait_blocking(0)) == (True, reason, True)
    with pytest.raises(CancelRequested, match=reason or "the run was asked to stop"):
        token.raise_if_set()


def test_the_first_reason_stays():
    token = CancelToken()
    token.fire("one")
    token.fire("two")
    assert token.reason == "one"


async def test_everybody_who_waits_on_the_loop_is_told():
    """[C26]"""
    token = CancelToken()
    waiting = [asyncio.ensure_future(token.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    token.fire("enough")
    assert await asyncio.gather(*waiting[1:]) == ["enough", "enough"]
    assert await token.wait() == "enough"
    assert waiting[0].cancelled()


def test_threads_that_wait_are_told():
    """[C26]"""
    token, seen = CancelToken(), []
    threads = [
        threading.Thread(target=lambda: seen.append(token.wait_blocking(10))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    token.fire("enough")
    for thread in threads:
        thread.join(10)
    assert seen == [True] * 4


def test_a_thread_that_waits_while_the_token_fires_is_never_missed():
    """[C26] Both ways round: the event is made first, the reason looked at then."""
    for _ in range(300):
        token, ready = CancelToken(), threading.Barrier(2)
        seen = []

        def wait(token=token, ready=ready, seen=seen):
            ready.wait()
            seen.append(token.wait_blocking(5))

        thread = threading.Thread(target=wait)
        thread.start()
        ready.wait()
        token.fire("x")
        thread.join(10)
        assert seen == [True]
