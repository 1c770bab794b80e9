"""
Blocking connections to Redis, and the pool that keeps them.

A blocking read or write notices a dead connection: it opens a second one to compare.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Protocol, Self, TypeVar

from stepflow.errors import StepflowError
from stepflow.store.connection.address import Address
from stepflow.store.connection.dial import PATIENCE_S, check_greeting, dial, greeting, unsent
from stepflow.store.connection.loading import LoadedScripts
from stepflow.store.connection.resp import encode_command, make_reader
from stepflow.store.connection.thread_calls import run_in_thread

T = TypeVar("T")

#: seconds between checks while a second connection is opened beside a silent one
_LOOK_S = 0.05
#: seconds that a silent connection still has to reply once a fresh one has answered
_LAST_CHANCE_S = 0.1
#: bytes to read at a time
_READ = 65536


class Socket(Protocol):
    """One blocking connection; every *until* is a `time.monotonic` time."""

    #: the scripts that were sent over it
    loaded: LoadedScripts

    def send(self, data: bytes, until: float) -> None:
        """Write all of *data*; raises OSError when that is not possible in time."""

    def read(self, until: float) -> Any:
        """
        Return the next reply, an error reply as a ReplyError.

        Raises OSError when the connection breaks or no reply comes in time.
        """

    def close(self) -> None:
        """Close the connection."""


class Pool(Protocol):
    """Provides connections to SyncConnection."""

    def take(self, until: float) -> Socket:
        """
        Return an idle connection, or a new one.

        Raises OSError when no server can be reached, RedisRefused when it rejects the login.
        """

    def give_back(self, sock: Socket) -> None:
        """Take back a connection that owes no reply."""

    def close_idle(self) -> None:
        """Close the idle connections."""

    def listening(self, *channels: str) -> Any:
        """
        Listen to channels.

        Returns a context manager. It yields a function that waits for a message, for at most the
        number of seconds it is given.
        """


class RedisSocket:
    """
    A connection over one socket, which detects that it is dead.

    Waiting ends with OSError when the server hangs up; when it stays silent while a second
    connection, opened after *patience_s*, gets an answer; after *reply_s* of silence; and when the
    caller's time is up.
    """

    def __init__(
        self, address: Address, raw: socket.socket, *, patience_s: float, reply_s: float
    ) -> None:
        self._address = address
        self._raw = raw
        self._pid = os.getpid()
        self._patience_s, self._reply_s = patience_s, reply_s
        self._reader = make_reader()
        self._last_activity_at = time.monotonic()
        self._unsent = 0
        self.loaded: LoadedScripts = {}
        #: whether messages of channels may precede the next reply
        self.has_messages = False
        #: receives the fresh connection that showed this one to be dead
        self.on_fresh: Callable[[RedisSocket], None] = RedisSocket.close

    def __del__(self) -> None:
        self._raw.close()

    @classmethod
    def connect(
        cls, address: Address, timeout_s: float, *, patience_s: float, reply_s: float
    ) -> Self:
        """Connect and log in within *timeout_s*; raises OSError or RedisRefused."""
        until = time.monotonic() + timeout_s
        sock = cls(
            address,
            dial(address, timeout_s).wrap_tls(timeout_s),
            patience_s=timeout_s,
            reply_s=timeout_s,
        )
        try:
            commands = greeting(address, None)
            sock.send(b"".join(encode_command(command) for command in commands), until)
            check_greeting(address, [sock.read(until) for _ in commands])
        except BaseException:
            sock.close()
            raise
        sock._patience_s, sock._reply_s = patience_s, reply_s
        return sock

    @property
    def is_ours(self) -> bool:
        """Whether this process opened it; a forked child must not use those of its parent."""
        return self._pid == os.getpid()

    @property
    def is_idle(self) -> bool:
        """Whether it can be used: nothing unexpected, such as a hang-up, has arrived."""
        try:
            return not _is_ready(self._raw, select.POLLIN, 0.0)
        except (OSError, ValueError):
            return False

    def send(self, data: bytes, until: float) -> None:
        """Write all of *data*; see `Socket.send`."""
        self._last_activity_at = time.monotonic()
        view = memoryview(data)
        while view:
            sent = self._wait_patiently(partial(self._raw.send, view), until, select.POLLOUT)
            view = view[sent:]

    def read(self, until: float) -> Any:
        """Return the next reply, an error reply as a ReplyError; see `Socket.read`."""
        while (reply := self._reader.gets()) is False:
            data = self._wait_patiently(lambda: self._raw.recv(_READ), until)
            if not data:
                raise ConnectionError("it hung up")
            self._reader.feed(data)
        return reply

    def wait_for_message(self, until: float) -> bool:
        """
        Wait until a published message arrives, at most *until*.

        Returns False when nothing came, or only the confirmation of the subscription.
        """
        while (reply := self._reader.gets()) is False:
            self._raw.settimeout(max(0.001, until - time.monotonic()))
            try:
                data = self._raw.recv(_READ)
            except TimeoutError:
                return False
            if not data:
                raise ConnectionError("it hung up")
            self._reader.feed(data)
        return isinstance(reply, list) and reply[0] == b"message"

    def subscribe(self, channels: Sequence[str], until: float) -> None:
        """Ask for the messages of *channels*; read them with `wait_for_message` alone."""
        self.send(encode_command(("SUBSCRIBE", *channels)), until)

    def unsubscribe(self, until: float) -> None:
        """Ask for no more messages; `skip_messages` must be called before anything else."""
        self.send(encode_command(("UNSUBSCRIBE",)), until)
        self.has_messages = True

    def skip_messages(self, until: float) -> None:
        """
        Read what arrived before the server confirmed `unsubscribe`.

        Raises OSError when the connection broke, or a subscription was refused.
        """
        while self.has_messages:
            reply = self.read(until)
            if not isinstance(reply, list):
                raise ConnectionError(f"a subscription was answered by {reply}")
            self.has_messages = reply[0] != b"unsubscribe" or reply[2] != 0

    def close(self) -> None:
        """Close the connection."""
        self._raw.close()

    def _wait_patiently(self, step: Callable[[], T], until: float, event: int = select.POLLIN) -> T:
        """Repeat *step*, which blocks on the socket, until it succeeds or fails for good."""
        fresh: Future[RedisSocket] | None = None
        look_after_s = self._patience_s
        try:
            while True:
                silent_s = time.monotonic() - self._last_activity_at
                self._raw.settimeout(self._wait_s(fresh, silent_s, look_after_s, until))
                try:
                    done = step()
                except TimeoutError:
                    pass
                else:
                    self._last_activity_at = time.monotonic()
                    return done
                silent_s = self._silent_s()
                over = time.monotonic() >= until and silent_s >= min(
                    _LAST_CHANCE_S, self._patience_s
                )
                if over or silent_s >= self._reply_s:
                    raise TimeoutError(f"no answer for {silent_s:.1f} s")
                if fresh is None and silent_s >= look_after_s:
                    fresh, look_after_s = (
                        run_in_thread(self._connect_another, drop=RedisSocket.close),
                        2 * look_after_s,
                    )
                elif fresh is not None and fresh.done():
                    self._fail_if_dead(fresh, event)
                    fresh = None
        finally:
            if fresh is not None and not fresh.cancel():
                with suppress(OSError, StepflowError):
                    fresh.result().close()

    def _connect_another(self) -> RedisSocket:
        return RedisSocket.connect(
            self._address,
            self._address.times.connect_s,
            patience_s=self._patience_s,
            reply_s=self._reply_s,
        )

    def _wait_s(self, fresh: object, silent_s: float, look_after_s: float, until: float) -> float:
        """Return how many seconds to block on the socket before the next check is due."""
        left_s = max(_LOOK_S, until - time.monotonic())
        if fresh is not None:
            return min(_LOOK_S, left_s)
        return min(left_s, max(_LOOK_S, min(look_after_s, self._reply_s) - silent_s))

    def _silent_s(self) -> float:
        """
        Return for how many seconds no bytes have arrived or left.

        Bytes that the kernel still sends count as a sign of life.
        """
        unsent_now = unsent(self._raw)
        if unsent_now < self._unsent:
            self._last_activity_at = time.monotonic()
        self._unsent = unsent_now
        return time.monotonic() - self._last_activity_at

    def _fail_if_dead(self, fresh: Future[RedisSocket], event: int) -> None:
        """
        Raise ConnectionError if *fresh* connected and this connection is still silent.

        A failure to connect proves nothing about this connection.
        """
        try:
            sock = fresh.result()
        except (OSError, StepflowError):
            return
        if _is_ready(self._raw, event, _LAST_CHANCE_S):
            sock.close()
            return
        self.on_fresh(sock)
        silent_s = time.monotonic() - self._last_activity_at
        raise ConnectionError(f"silent for {silent_s:.1f} s while a new connection answers")


def _is_ready(raw: socket.socket, event: int, timeout_s: float) -> bool:
    """Return whether the socket becomes ready for *event*, or breaks, within the time."""
    poll = select.poll()
    poll.register(raw, event)
    return bool(poll.poll(timeout_s * 1000))


class SocketPool:
    """
    A pool of connections to *address* without an upper limit.

    Safe to use from several threads, and in a forked child.
    """

    def __init__(
        self, address: Address, *, reply_s: float | None = None, patience_s: float = PATIENCE_S
    ) -> None:
        self._address = address
        self._reply_s = address.times.reply_s if reply_s is None else reply_s
        self._patience_s = min(patience_s, self._reply_s)
        self._idle: deque[RedisSocket] = deque()

    def take(self, until: float) -> RedisSocket:
        """Return an idle connection, or a new one; see `Pool.take`."""
        while self._idle:
            with suppress(IndexError):  # another thread took the last
                sock = self._idle.pop()
                if self._is_usable(sock, until):
                    sock.on_fresh = self.give_back
                    return sock
                sock.close()
        timeout_s = min(
            self._address.times.connect_s, max(_LAST_CHANCE_S, until - time.monotonic())
        )
        sock = RedisSocket.connect(
            self._address, timeout_s, patience_s=self._patience_s, reply_s=self._reply_s
        )
        sock.on_fresh = self.give_back
        return sock

    def _is_usable(self, sock: RedisSocket, until: float) -> bool:
        if not (sock.has_messages and sock.is_ours):
            return sock.is_ours and sock.is_idle
        try:
            sock.skip_messages(min(until, time.monotonic() + self._patience_s))
        except OSError:
            return False
        return True

    def give_back(self, sock: Any) -> None:
        """Take back a connection that owes no reply."""
        # an idle connection must not refer to its pool: the cycle would delay closing both
        sock.on_fresh = RedisSocket.close
        self._idle.append(sock)

    def close_idle(self) -> None:
        """Close the idle connections."""
        while self._idle:
            with suppress(IndexError):
                self._idle.pop().close()

    @contextmanager
    def listening(self, *channels: str) -> Iterator[Callable[[float], None]]:
        """
        Listen to channels; see `Pool.listening`.

        A lost connection ends the wait early and is reopened by the next one: callers poll as
        well.
        """
        sock: RedisSocket | None = None

        def listen() -> RedisSocket:
            made = self.take(time.monotonic() + self._address.times.connect_s)
            try:
                made.subscribe(channels, time.monotonic() + self._patience_s)
            except BaseException:
                made.close()
                raise
            return made

        def wait_for_message(timeout_s: float) -> None:
            nonlocal sock
            until = time.monotonic() + timeout_s
            try:
                sock = sock if sock is not None and sock.is_ours else listen()
                while time.monotonic() < until and not sock.wait_for_message(until):
                    pass
            except (OSError, StepflowError):
                if sock is not None:
                    sock.close()
                sock = None
                time.sleep(min(timeout_s, 0.1))

        try:
            with suppress(OSError, StepflowError):
                sock = listen()
            yield wait_for_message
        except BaseException:
            if sock is not None:
                sock.close()
            raise
        if sock is not None and sock.is_ours:
            self._leave(sock)

    def _leave(self, sock: RedisSocket) -> None:
        """Take back a connection that listened."""
        try:
            sock.unsubscribe(time.monotonic() + self._patience_s)
        except OSError:
            sock.close()
        else:
            sock.on_fresh = RedisSocket.close
            self._idle.appendleft(sock)  # taken last: by then the server has confirmed
