"""Looking up host names, so that one slow name server delays no other look-up."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from threading import Thread


class Resolver:
    """
    Asks the system's resolver, in a daemon thread for each name, once at a time for each.

    The loop's thread pool would not do: it has a few threads, and a call to the resolver cannot be
    cancelled, so names whose server does not answer would fill it for minutes. Here such a name
    keeps one thread busy, and the process can end without it.
    """

    def __init__(self) -> None:
        self._asked: dict[tuple[str, int], asyncio.Future[list[str] | OSError]] = {}

    async def __call__(self, host: str, port: int) -> list[str]:
        """
        Return the addresses of *host*.

        Raises OSError when it has none, or the look-up fails.
        """
        key = (host, port)
        loop = asyncio.get_running_loop()
        asked = self._asked.get(key)
        if asked is None or asked.get_loop() is not loop:  # one loop cannot await another's
            self._asked[key] = asked = loop.create_future()
            asked.add_done_callback(lambda ended: self._forget(key, ended))
            Thread(
                target=_ask, args=(host, port, asked), name=f"lookup {host}", daemon=True
            ).start()
        answer = await asyncio.shield(asked)
        if isinstance(answer, OSError):
            raise answer
        return answer

    def _forget(self, key: tuple[str, int], ended: asyncio.Future[list[str] | OSError]) -> None:
        if self._asked.get(key) is ended:
            del self._asked[key]


def _ask(host: str, port: int, asked: asyncio.Future[list[str] | OSError]) -> None:
    answer: list[str] | OSError
    try:
        # an address of one link keeps its scope in its fourth part only, so it is put back for the
        # guard to see
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        answer = [_with_scope(*(str(part) for part in place)) for *_, place in rows]
    except OSError as error:
        answer = error
    except UnicodeError:
        answer = OSError(f"{host} is not a host name")
    with suppress(RuntimeError):  # the loop has ended meanwhile; nobody waits any more
        asked.get_loop().call_soon_threadsafe(_settle, asked, answer)


def _settle(asked: asyncio.Future[list[str] | OSError], answer: list[str] | OSError) -> None:
    if not asked.done():
        asked.set_result(answer)


def _with_scope(address: str, _port: str = "", _flow: str = "", scope: str = "0") -> str:
    return address if scope == "0" or "%" in address else f"{address}%{scope}"
