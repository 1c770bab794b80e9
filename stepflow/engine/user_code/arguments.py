"""
Plain values into the types that a function declares: pydantic at the edge of user code.

What was unpacked knows no classes; a runner's `Step[Order]`, or a job's parameters, say what it
should be. Validation is lax, also for models that call themselves strict: an enum arrives as its
value, a dataclass as a map.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

from stepflow.core.runner import Step
from stepflow.engine.user_code.hints import (
    hints_of,
    own_signature,
    returned_hint,
    says_nothing,
    without_extras,
)
from stepflow.engine.user_code.lossless import check_arguments, check_lossless
from stepflow.engine.user_code.readable import readable
from stepflow.engine.user_code.resources.resource import is_injected
from stepflow.errors import InvalidOption, PayloadMismatch, UnreadableValue
from stepflow.store.values.annotations import kind_of
from stepflow.store.values.kinds import LEAVES

#: takes what `unpack` gave, gives the type that user code declares
Reader = Callable[[Any], Any]
#: takes the payload of a job, gives the arguments to call its function with
CallReader = Callable[[Any], tuple[tuple[Any, ...], dict[str, Any]]]

Problem = tuple[tuple[int | str, ...], str]

#: fields named in one message
_SHOWN = 5

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class _MisfitError(Exception):
    """What does not fit: the place in the value, from outside in, and what is wrong there."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(_sentence(problems))
        self.problems = problems


def _sentence(problems: list[Problem]) -> str:
    """Write `items.0.when: what is wrong; ...`; a problem with the whole value has no place."""
    shown = [
        ": ".join(filter(None, (".".join(map(str, place)), text)))
        for place, text in problems[:_SHOWN]
    ]
    more = len(problems) - _SHOWN
    return "; ".join(shown) + (f"; and {more} more" if more > 0 else "")


def payload_type(fn: Callable[..., Any]) -> Any:
    """
    Give the X of the `Step[X]` that a runner declares.

    *fn* is a function, a method, or an object with `run_step`. None when it declares nothing: no
    annotation, a bare `Step`, `Step[Any]`, or a name that cannot be resolved.
    """
    for hint in hints_of(getattr(fn, "run_step", fn)).values():
        bare = without_extras(hint)
        if typing.get_origin(bare) is Step:
            [wanted] = typing.get_args(bare)
            return None if says_nothing(wanted) else wanted
    return None


def input_type(fn: Callable[..., Any]) -> Any:
    """
    Give the annotation of the second parameter of workflow *fn*, its input.

    None when it declares nothing.
    """
    names = list(own_signature(fn).parameters)
    hint = hints_of(fn).get(names[1]) if len(names) > 1 else None
    return None if hint is None or says_nothing(hint) else hint


def reader_for(runner: str, wanted: Any) -> Reader:
    """
    Make the reader that turns payloads of *runner* into *wanted*; None leaves them as they are.

    The reader raises PayloadMismatch naming the fields that do not fit. Raises InvalidOption for a
    type that pydantic cannot validate.
    """
    if says_nothing(wanted):
        return _as_is
    validate = _validator(wanted, f"the payload type of runner {runner!r}")

    def read(payload: Any) -> Any:
        try:
            return validate(payload)
        except _MisfitError as error:
            raise PayloadMismatch(runner, str(error)) from error.__cause__

    return read


def bind(fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """
    Give the payload that stands for the call `fn(*args, **kwargs)`.

    It maps parameter names to arguments, the same however an argument was passed; defaults are left
    to the worker. Raises InvalidOption when *fn* cannot be called so, UnsupportedValue for an
    argument with more fields than its annotation reads.
    """
    signature = inspect.signature(fn)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise InvalidOption(
            f"{_name(fn)}{_parameters(signature)} cannot be called with these arguments: {error}"
        ) from error
    for name in bound.arguments:
        if is_injected(signature.parameters[name]):
            raise InvalidOption(f"the worker passes {name!r} of {_name(fn)}; leave it out")
    arguments = {
        name: list(item) if isinstance(item, tuple) and _is_star(signature, name) else item
        for name, item in bound.arguments.items()
    }
    if not LEAVES.issuperset(map(type, arguments.values())):
        hints = hints_of(fn)
        wanted = {
            name: _collected(signature.parameters[name], hints[name])
            for name in arguments
            if name in hints
        }
        check_arguments(arguments, wanted, _name(fn))
    return arguments


def call_reader(fn: Callable[..., Any], runner: str | None = None) -> CallReader:
    """
    Make the reader that turns a payload made by `bind` into `(args, kwargs)`.

    Each argument is validated by its annotation. The reader raises PayloadMismatch, naming the
    parameters that are missing, unknown or do not fit, and *runner* as the name of the whole.
    Raises InvalidOption for an annotation that pydantic cannot validate.
    """
    runner = runner or _name(fn)
    signature = inspect.signature(fn)
    hints = hints_of(fn)
    readers = {
        name: _validator(_collected(parameter, hints[name]), f"parameter {name!r} of {runner!r}")
        for name, parameter in signature.parameters.items()
        if name in hints and not says_nothing(hints[name]) and not is_injected(parameter)
    }

    def read(payload: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        payload = {} if payload is None else payload  # submitted by name, without any
        if not isinstance(payload, dict):
            raise PayloadMismatch(
                runner,
                f"it is a {type(payload).__name__}, not a map of arguments{_like(signature)}",
            )
        problems = _misfits(signature, payload)
        arguments = {}
        for name in filter(payload.__contains__, signature.parameters):
            try:
                arguments[name] = readers.get(name, _as_is)(payload[name])
            except _MisfitError as error:
                problems += [((name, *place), text) for place, text in error.problems]
        if problems:
            raise PayloadMismatch(runner, _sentence(problems))
        bound = inspect.BoundArguments(signature, arguments)
        bound.apply_defaults()
        return bound.args, bound.kwargs

    return read


def _like(signature: inspect.Signature) -> str:
    """Say what a map of the arguments looks like; "" for a function without any."""
    given = [name for name, each in signature.parameters.items() if not is_injected(each)]
    return " such as {" + ", ".join(f'"{name}": ...' for name in given) + "}" if given else ""


def read_call(fn: Callable[..., Any], payload: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Read one payload that `bind` made; keep a `call_reader` where there are many."""
    return call_reader(fn)(payload)


class ResultReader:
    """
    Turns results of *fn* into the type of its return annotation; see `result_reader`.

    *check* is for where a result is packed: it refuses one that would lose something when it is
    read back.
    """

    __slots__ = ("_kind", "_name", "_validate")

    def __init__(self, fn: Callable[..., Any], wanted: Any) -> None:
        self._name = _name(fn)
        self._validate = _validator(wanted, f"the return type of {self._name!r}")
        self._kind = kind_of(wanted)

    def __call__(self, result: Any) -> Any:
        try:
            return self._validate(result)
        except _MisfitError as error:
            raise UnreadableValue(
                f"the result of {self._name!r} does not fit its return annotation: {error}"
            ) from error.__cause__

    def problem(self, result: Any) -> str | None:
        """Say what of a plain *result* does not fit; None when it does."""
        try:
            self._validate(result)
        except _MisfitError as error:
            return str(error)
        except InvalidOption:
            raise
        except Exception as error:  # noqa: BLE001  validators are user code
            return f"what is stored of it cannot be read back: {type(error).__name__}: {error}"
        return None

    def check(self, result: Any, what: str) -> None:
        """Raise UnsupportedValue for a result with more in it than its annotation reads."""
        check_lossless(self._kind, result, what)


def result_reader(fn: Callable[..., Any]) -> Reader:
    """
    Make the ResultReader that turns results of *fn* into the type of its return annotation.

    Without an annotation, or when *fn* may return an Outcome, results stay as they are. The reader
    raises UnreadableValue naming the fields that do not fit.
    """
    wanted = returned_hint(fn)
    return _as_is if wanted is None else ResultReader(fn, wanted)


def _misfits(signature: inspect.Signature, payload: dict[Any, Any]) -> list[Problem]:
    given = {name for name, each in signature.parameters.items() if not is_injected(each)}
    unknown: list[Problem] = [
        ((name,), "there is no such parameter") for name in payload.keys() - given
    ]
    return unknown + [
        ((name,), "it is missing")
        for name, parameter in signature.parameters.items()
        if name not in payload
        and parameter.default is parameter.empty
        and parameter.kind not in _VARIADIC
    ]


def _collected(parameter: inspect.Parameter, hint: Any) -> Any:
    """Give the type of the whole argument: `*args: int` is a list of ints."""
    if parameter.kind is parameter.VAR_POSITIONAL:
        return list[hint]
    if parameter.kind is not parameter.VAR_KEYWORD:
        return hint
    return typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Unpack else dict[str, hint]


def _is_star(signature: inspect.Signature, name: str) -> bool:
    return signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL


def _parameters(signature: inspect.Signature) -> str:
    return str(signature.replace(return_annotation=signature.empty))


def _name(fn: Callable[..., Any]) -> str:
    return getattr(fn, "__name__", type(fn).__name__)


def _as_is(value: Any) -> Any:
    return value


def _validator(wanted: Any, what: str) -> Reader:
    """
    Make a reader that raises _MisfitError.

    InvalidOption, naming *what*, for what pydantic cannot build.
    """
    try:
        validate = TypeAdapter(readable(wanted)).validate_python
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        raise _unfit(what, wanted, error) from error

    def read(value: Any) -> Any:
        try:
            return validate(value, strict=False, by_alias=True, by_name=True)
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=False, include_input=False)
            raise _MisfitError([(detail["loc"], detail["msg"]) for detail in details]) from error
        except PydanticUserError as error:
            raise _unfit(what, wanted, error) from error

    return read


def _unfit(what: str, wanted: Any, error: Exception) -> InvalidOption:
    return InvalidOption(f"{what}, {wanted!r}, cannot be validated: {str(error).splitlines()[0]}")
