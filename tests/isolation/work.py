"""Functions that a child process can import."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from stepflow import Continue, PermanentError, Step, Succeed, TransientError


@dataclass
class Order:
    number: int
    on: date


class Refused(Exception):
    def __init__(self, code: int, *, hint: str) -> None:
        super().__init__(code)
        self.hint = hint


def double(order: Order, *, plus: int = 0) -> Order:
    assert isinstance(order, Order)
    return Order(order.number * 2 + plus, order.on)


def where() -> int:
    return os.getpid()


def refuse() -> None:
    raise Refused(7, hint="not today")


def give_up() -> None:
    raise PermanentError("for good")


def rest() -> None:
    raise TransientError("later", retry_after=7)


def leave(code: int) -> None:
    os._exit(code)


def crash() -> None:
    ctypes.string_at(0)


def turn(pid_file: str) -> None:
    """Never return: no bytecode, and no signal, is looked at within this."""
    Path(pid_file).write_text(str(os.getpid()))
    re.match(r"(a+)+$", "a" * 64 + "b")


def spin(pid_file: str) -> None:
    Path(pid_file).write_text(str(os.getpid()))
    while True:
        with contextlib.suppress(BaseException):
            os.getpid()


def hog(count: int) -> int:
    return len(bytearray(count))


def not_stored() -> object:
    return object()


def orders(step: Step[Order]) -> Continue | Succeed:
    assert isinstance(step.payload, Order)
    if step.number == 0:
        return Continue(Order(step.payload.number + 1, step.payload.on))
    return Succeed([step.payload.number, step.headers["tenant"], os.getpid()])


def remembers(step: Step) -> Succeed:
    step.effects.put("a", 1)
    return Succeed()


async def awaited() -> None: ...
