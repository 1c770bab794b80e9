"""
The connections of the blocking link.

One socket each, that is waited for with patience and replaced when it is dead.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Protocol, Self, TypeVar

from stepflow.errors import StepflowError
from stepflow.store.connection.address import Address
from stepflow.store.connection.dial import PATIENCE_S, check_greeting, dial, greeting, unsent
from stepflow.store.connection.resp import encode_command, make_reader
from stepflow.store.connection.thread_calls import aside

T = TypeVar("T")

#: seconds between looks while a fresh connection is made beside one that is silent
_LOOK_S = 0.05
#: seconds in which an answer may still come once a fresh connection has answered
_LAST_CHANCE_S = 0.1
#: bytes that are read at a time
_READ = 65536


class Socket(Protocol):
    """One connection: bytes out, replies in."""

    def send(self, data: bytes, until: float) -> None:
        """Write all of *data*."""

    def read(self, until: float) -> Any:
        """
        Give the next reply, an error as a ReplyError.

        Raises OSError when there is none in time.
        """

    def close(self) -> None:
        """Hang up."""


class Sockets(Protocol):
    """Where the blocking link has its connections from."""

    def take(self, until: float) -> Socket:
        """
        Give an idle connection or a new one.

        Raises OSError, or RedisRefused of a server that lets nobody in.
        """

    def give(self, line: Socket) -> None:
        """Take back a connection that owes nothing."""

    def drop(self) -> None:
        """Hang up on all that are idle."""

    def listening(self, channel: str) -> Any:
        """
        Listen to a channel.

        A context manager, whose callable waits for a message, at most so many seconds.
        """


class OneSocket:
    """
    One connection of ours.

    Waiting ends with OSError: when the other side hung up; when it is silent while a fresh
    connection, made after *patience_s*, answers; when it has been silent for *reply_s*; when the
    caller's time is over.
    """

    def __init__(
        self, address: Address, wire: socket.socket, *, patience_s: float, reply_s: float
    ) -> None:
        self._address = address
        self._wire = wire
        self._patience_s, self._reply_s = patience_s, reply_s
        self._reader = make_reader()
        self._heard_at = time.monotonic()
        self._unsent = 0
        #: takes the fresh connection that showed this one to be dead
        self.on_fresh: Callable[[OneSocket], None] = OneSocket.close

    def __del__(self) -> None:
        self._wire.close()

    @classmethod
    def connect(
        cls, address: Address, timeout_s: float, *, patience_s: float, reply_s: float
    ) -> Self:
        """Connect and log in within *timeout_s*; raises OSError or RedisRefused."""
        until = time.monotonic() + timeout_s
        line = cls(
            address,
            dial(address, timeout_s).wrapped(timeout_s),
            patience_s=timeout_s,
            reply_s=timeout_s,
        )
        try:
            commands = greeting(address, None)
            line.send(b"".join(encode_command(command) for command in commands), until)
            check_greeting(address, [line.read(until) for _ in commands])
        except BaseException:
            line.close()
            raise
        line._patience_s, line._reply_s = patience_s, reply_s
        return line

    @property
    def is_idle(self) -> bool:
        """Whether nothing has come that nobody asked for, such as the other side's parting."""
        try:
            return not _stirs(self._wire, select.POLLIN, 0.0)
        except (OSError, ValueError):
            return False

    def send(self, data: bytes, until: float) -> None:
        """Write all of *data*."""
        self._heard_at = time.monotonic()
        view = memoryview(data)
        while view:
            sent = self._patiently(partial(self._wire.send, view), until, select.POLLOUT)
            view = view[sent:]

    def read(self, until: float) -> Any:
        """Give the next reply, an error as a ReplyError."""
        while (reply := self._reader.gets()) is False:
            data = self._patiently(lambda: self._wire.recv(_READ), until)
            if not data:
                raise ConnectionError("it hung up")
            self._reader.feed(data)
        return reply

    def hear(self, until: float) -> bool:
        """
        Wait for what was published, at most *until*.

        False when it was only a confirmation, or nothing.
        """
        while (reply := self._reader.gets()) is False:
            self._wire.settimeout(max(0.001, until - time.monotonic()))
            try:
                data = self._wire.recv(_READ)
            except TimeoutError:
                return False
            if not data:
                raise ConnectionError("it hung up")
            self._reader.feed(data)
        return isinstance(reply, list) and reply[0] == b"message"

    def close(self) -> None:
        """Hang up."""
        self._wire.close()

    def _patiently(self, step: Callable[[], T], until: float, event: int = select.POLLIN) -> T:
        """Do *step*, which waits on the socket, until it is done or the connection is given up."""
        fresh: Future[OneSocket] | None = None
        look_after_s = self._patience_s
        try:
            while True:
                silent_s = time.monotonic() - self._heard_at
                self._wire.settimeout(self._wait_s(fresh, silent_s, look_after_s, until))
                try:
                    done = step()
                except TimeoutError:
                    pass
                else:
                    self._heard_at = time.monotonic()
                    return done
                silent_s = self._silent_s()
                over = time.monotonic() >= until and silent_s >= min(
                    _LAST_CHANCE_S, self._patience_s
                )
                if over or silent_s >= self._reply_s:
                    raise TimeoutError(f"no answer for {silent_s:.1f} s")
                if fresh is None and silent_s >= look_after_s:
                    fresh, look_after_s = aside(self._like, drop=OneSocket.close), 2 * look_after_s
                elif fresh is not None and fresh.done():
                    self._judge(fresh, event)
                    fresh = None
        finally:
            if fresh is not None and not fresh.cancel():
                with suppress(OSError, StepflowError):
                    fresh.result().close()

    def _like(self) -> OneSocket:
        return OneSocket.connect(
            self._address,
            self._address.times.connect_s,
            patience_s=self._patience_s,
            reply_s=self._reply_s,
        )

    def _wait_s(self, fresh: object, silent_s: float, look_after_s: float, until: float) -> float:
        """Say how long to wait for the socket until something else is to be looked at."""
        left_s = max(_LOOK_S, until - time.monotonic())
        if fresh is not None:
            return min(_LOOK_S, left_s)
        return min(left_s, max(_LOOK_S, min(look_after_s, self._reply_s) - silent_s))

    def _silent_s(self) -> float:
        """
        Say for how long nothing has come, nor gone.

        What the kernel still sends is a sign of life.
        """
        unsent_now = unsent(self._wire)
        if unsent_now < self._unsent:
            self._heard_at = time.monotonic()
        self._unsent = unsent_now
        return time.monotonic() - self._heard_at

    def _judge(self, fresh: Future[OneSocket], event: int) -> None:
        """
        Raise when a fresh connection was made and this one is silent still.

        One that could not be made says nothing.
        """
        try:
            line = fresh.result()
        except (OSError, StepflowError):
            return
        if _stirs(self._wire, event, _LAST_CHANCE_S):
            line.close()
            return
        self.on_fresh(line)
        raise ConnectionError(
            f"silent for {time.monotonic() - self._heard_at:.1f} s while a new connection answers"
        )


def _stirs(wire: socket.socket, event: int, timeout_s: float) -> bool:
    """Say whether the socket is ready for *event*, or broken, within the time."""
    poll = select.poll()
    poll.register(wire, event)
    return bool(poll.poll(timeout_s * 1000))


class SocketPool:
    """
    Connections to *address*: those that are idle, and new ones.

    Safe for threads, and in the child of a fork.
    """

    def __init__(
        self, address: Address, *, reply_s: float | None = None, patience_s: float = PATIENCE_S
    ) -> None:
        self._address = address
        self._reply_s = address.times.reply_s if reply_s is None else reply_s
        self._patience_s = min(patience_s, self._reply_s)
        self._idle: deque[OneSocket] = deque()
        self._pid = os.getpid()

    def take(self, until: float) -> OneSocket:
        """Give an idle connection or a new one."""
        if (
            self._pid != os.getpid()
        ):  # a fork's child has the parent's connections, too, and must not talk over them
            self.drop()
            self._pid = os.getpid()
        while self._idle:
            with suppress(IndexError):  # another thread took the last
                line = self._idle.pop()
                if line.is_idle:
                    line.on_fresh = self.give
                    return line
                line.close()
        timeout_s = min(
            self._address.times.connect_s, max(_LAST_CHANCE_S, until - time.monotonic())
        )
        line = OneSocket.connect(
            self._address, timeout_s, patience_s=self._patience_s, reply_s=self._reply_s
        )
        line.on_fresh = self.give
        return line

    def give(self, line: Any) -> None:
        """Take back a connection that owes nothing."""
        line.on_fresh = (
            OneSocket.close
        )  # while it rests it knows nothing of its pool: both go as soon as nobody has them
        self._idle.append(line)

    def drop(self) -> None:
        """Hang up on all that are idle."""
        while self._idle:
            with suppress(IndexError):
                self._idle.pop().close()

    @contextmanager
    def listening(self, channel: str) -> Iterator[Callable[[float], None]]:
        """
        Listen to a channel; the callable waits for a message, at most so many seconds.

        A lost connection only ends the wait, and is made again at the next: whoever listens looks
        again anyway.
        """
        line: OneSocket | None = None

        def listen() -> OneSocket:
            made = self.take(time.monotonic() + self._address.times.connect_s)
            try:
                made.send(
                    encode_command(("SUBSCRIBE", channel)), time.monotonic() + self._patience_s
                )
            except BaseException:
                made.close()
                raise
            return made

        def heard(timeout_s: float) -> None:
            nonlocal line
            until = time.monotonic() + timeout_s
            try:
                line = line or listen()
                while time.monotonic() < until and not line.hear(until):
                    pass
            except (OSError, StepflowError):
                if line is not None:
                    line.close()
                line = None
                time.sleep(min(timeout_s, 0.1))

        try:
            with suppress(OSError, StepflowError):
                line = listen()
            yield heard
        finally:
            if line is not None:
                line.close()
