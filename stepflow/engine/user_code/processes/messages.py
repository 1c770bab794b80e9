"""What crosses between a worker and a child process: calls, values, errors; all of it packed."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

from stepflow.core.outcomes import Cancel, Continue, Fail, Succeed
from stepflow.errors import StepflowError
from stepflow.store.values.codec import pack, unpack

#: bytes before each message, which say how long it is
HEAD = 4


#: what a runner or a job may return beside a value, by its word
_OUTCOMES: dict[str, type[Any]] = {cls.word: cls for cls in (Continue, Succeed, Fail, Cancel)}


def write_call(module: str, qualname: str, payload: Any, step: Sequence[Any] = ()) -> bytes:
    """
    Write a call of a function by its name; raises what `pack` raises for an argument.

    *step* is what a runner's step is told of, whose payload is *payload*; else *payload* are the
    arguments, as `bind` gives them.
    """
    return pack([module, qualname, payload, list(step)], what="the call", in_clear=True)


def read_call(data: bytes) -> tuple[str, str, Any, Sequence[Any]]:
    """Read a call back."""
    module, qualname, payload, step = unpack(data)
    return module, qualname, payload, step


def write_value(value: Any) -> bytes:
    """Write what a function returned, a value or an outcome; raises UnsupportedValue."""
    word, parts = "", [value]
    if type(value) in _OUTCOMES.values():
        word, parts = value.word, [getattr(value, each.name) for each in fields(value)]
    return pack([True, word, parts], what="the result", in_clear=True)


def write_error(error: BaseException) -> bytes:
    """Write what a function raised: its class, its arguments and attributes, its traceback."""
    cls = type(error)
    told = "".join(traceback.format_exception(error)).encode("utf-8", "backslashreplace").decode()
    head = [False, cls.__module__, cls.__qualname__]
    for args, state in ((error.args, vars(error)), (error.args, {}), ([_text(error)], {})):
        try:
            return pack([*head, list(args), dict(state), told], what="the error", in_clear=True)
        except (StepflowError, TypeError, ValueError):
            continue
    return pack([*head, [], {}, told], in_clear=True)


def read_answer(data: bytes) -> Any:
    """Give what a function returned, or raise what it raised, with its traceback as a note."""
    is_value, *parts = unpack(data)
    if is_value:
        word, values = parts
        return _OUTCOMES[word](*values) if word else values[0]
    raise _error(*parts)


def frame(data: bytes) -> bytes:
    """Write a message behind its length."""
    return len(data).to_bytes(HEAD, "big") + data


def find(module: str, qualname: str) -> Any:
    """Import what stands under a name; raises ImportError or AttributeError."""
    return attrgetter(qualname)(importlib.import_module(module))


def _error(
    module: str, qualname: str, args: Sequence[Any], state: dict[str, Any], told: str
) -> BaseException:
    try:
        cls = find(module, qualname)
        error: BaseException = cls.__new__(cls, *args)
        error.args = tuple(args)
        vars(error).update(state)
    except BaseException:  # noqa: BLE001  a class that this process does not have, or that is odd
        error = type(qualname.rpartition(".")[2], (Exception,), {})(*args)
    error.add_note(f"In its process:\n{told.rstrip()}")
    return error


def _text(error: BaseException) -> str:
    try:
        return str(error).encode("utf-8", "backslashreplace").decode()
    except BaseException:  # noqa: BLE001  a __str__ of user code
        return ""
