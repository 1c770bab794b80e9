"""The wire format (RESP2): hiredis when it is installed, else the same in Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from stepflow.errors import InvalidOption, shown
from stepflow.store.calls import Part


class ReplyError(Exception):
    """An error that Redis answered with."""


class PyReader:
    """
    Reads replies from bytes as they come.

    `gets` gives False while none is whole. hiredis.Reader's interface.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Take more bytes."""
        self._buffer += data

    def gets(self) -> Any:
        """Give the next whole reply, a ReplyError for an error, False when there is none yet."""
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
    """Write one command."""
    parts = [b"*%d\r\n" % len(command)]
    for part in command:
        data = part if isinstance(part, bytes) else str(part).encode()
        parts += (b"$%d\r\n" % len(data), data, b"\r\n")
    return b"".join(parts)


def not_text(error: UnicodeEncodeError) -> InvalidOption:
    """
    Say which part of a command is no text, such as half a surrogate pair.

    Nothing of that command was sent.
    """
    return InvalidOption(
        f"{shown(error.object)} cannot be sent to Redis: it is not valid Unicode ({error.reason})"
    )


def encode_command(command: Sequence[Part]) -> bytes:
    """Write one command; raises InvalidOption for text that is none."""
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
        """Make a reader of replies."""
        return PyReader()
else:
    _pack = cast("Callable[[Sequence[Part]], bytes]", hiredis.pack_command)

    def make_reader() -> Any:
        """Make a reader of replies."""
        return hiredis.Reader(replyError=ReplyError)
