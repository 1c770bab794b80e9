"""The wire format (RESP2): hiredis if installed, else an equivalent in Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from stepflow.errors import InvalidOption, shown
from stepflow.store.calls import Part


class ReplyError(Exception):
    """An error reply from Redis, as a value."""


class PyReader:
    """
    Parses replies from chunks of bytes, with the interface of hiredis.Reader.

    `gets` returns False until a reply is complete.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Append received bytes."""
        self._buffer += data

    def gets(self) -> Any:
        """Return the next complete reply, a ReplyError for an error, False if there is none yet."""
        parsed = self._parse(0)
        if parsed is None:
            return False
        value, end = parsed
        del self._buffer[:end]
        return value

    def _parse(self, at: int) -> tuple[Any, int] | None:
        end = self._buffer.find(b"\r\n", at)
        if end < 0:
            return None
        kind, head, after = self._buffer[at : at + 1], bytes(self._buffer[at + 1 : end]), end + 2
        match kind:
            case b"+":
                return head, after
            case b"-":
                return ReplyError(head.decode("utf-8", "replace")), after
            case b":":
                return int(head), after
            case b"$":
                return self._parse_bulk(int(head), after)
            case b"*":
                return self._parse_array(int(head), after)
        msg = f"not a Redis reply: {bytes(self._buffer[at:end])!r}"
        raise ConnectionError(msg)

    def _parse_bulk(self, length: int, at: int) -> tuple[Any, int] | None:
        if length < 0:
            return None, at
        if len(self._buffer) < at + length + 2:
            return None
        return bytes(self._buffer[at : at + length]), at + length + 2

    def _parse_array(self, length: int, at: int) -> tuple[Any, int] | None:
        if length < 0:
            return None, at
        items: list[Any] = []
        for _ in range(length):
            parsed = self._parse(at)
            if parsed is None:
                return None
            item, at = parsed
            items.append(item)
        return items, at


def py_pack(command: Sequence[Part]) -> bytes:
    """Encode one command."""
    parts = [b"*%d\r\n" % len(command)]
    for part in command:
        data = part if isinstance(part, bytes) else str(part).encode()
        parts += (b"$%d\r\n" % len(data), data, b"\r\n")
    return b"".join(parts)


def not_text(error: UnicodeEncodeError) -> InvalidOption:
    """
    Return the error for a command part that is not valid Unicode, such as a lone surrogate.

    The command was not sent.
    """
    return InvalidOption(
        f"{shown(error.object)} cannot be sent to Redis: it is not valid Unicode ({error.reason})"
    )


def encode_command(command: Sequence[Part]) -> bytes:
    """Encode one command; raises InvalidOption for text that is not valid Unicode."""
    try:
        return _pack(command)
    except UnicodeEncodeError as error:
        raise not_text(error) from None


_pack: Callable[[Sequence[Part]], bytes]

try:
    import hiredis
except ImportError:
    _pack = py_pack

    def make_reader() -> Any:
        """Return a parser of replies."""
        return PyReader()
else:
    _pack = cast("Callable[[Sequence[Part]], bytes]", hiredis.pack_command)

    def make_reader() -> Any:
        """Return a parser of replies."""
        return hiredis.Reader(replyError=ReplyError)
