"""
Plain values into the types a function asks for: pydantic at the edge of user code.

What was unpacked knows no classes; a runner's `Step[Order]`, or a job's parameters, say what it should be. Validation
is lax, also for models that call themselves strict: an enum arrives as its value, a dataclass as a map.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Annotated, Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

from stepflow.core.outcomes import Outcome
from stepflow.core.runner import Step
from stepflow.errors import InvalidOption, PayloadMismatch, UnreadableValue

#: takes what `unpack` gave, gives what user code asks for
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
    shown = [": ".join(filter(None, (".".join(map(str, place)), text))) for place, text in problems[:_SHOWN]]
    more = len(problems) - _SHOWN
    return "; ".join(shown) + (f"; and {more} more" if more > 0 else "")


# ---- runners


def payload_type(fn: Callable[..., Any]) -> Any:
    """
    Give the X of the `Step[X]` that runner *fn* (a function, a method, an object with `run_step`) asks for.

    None when it asks for nothing: no annotation, a bare `Step`, `Step[Any]`, or a name that cannot be resolved.
    """
    for hint in _hints(getattr(fn, "run_step", fn)).values():
        bare = _without_extras(hint)
        if typing.get_origin(bare) is Step:
            [wanted] = typing.get_args(bare)
            return None if _says_nothing(wanted) else wanted
    return None


def input_type(fn: Callable[..., Any]) -> Any:
    """Give the annotation of the second parameter of workflow *fn*, its input; None when it asks for nothing."""
    names = list(inspect.signature(fn).parameters)
    hint = _hints(fn).get(names[1]) if len(names) > 1 else None
    return None if hint is None or _says_nothing(hint) else hint


def reader_for(runner: str, wanted: Any) -> Reader:
    """
    Make the reader that turns payloads of *runner* into *wanted*; None wants nothing and reads payloads as they are.

    The reader raises PayloadMismatch naming the fields that do not fit. Raises InvalidOption for a type that pydantic
    cannot validate.
    """
    if _says_nothing(wanted):
        return _as_is
    validate = _validator(wanted, f"the payload type of runner {runner!r}")

    def read(payload: Any) -> Any:
        try:
            return validate(payload)
        except _MisfitError as error:
            raise PayloadMismatch(runner, str(error)) from error.__cause__

    return read


# ---- jobs


def bind(fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """
    Give the payload that stands for the call `fn(*args, **kwargs)`: a map from parameter names to arguments.

    However an argument was passed, the payload is the same; defaults are left to the worker. Raises InvalidOption when
    *fn* cannot be called so.
    """
    signature = inspect.signature(fn)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise InvalidOption(
            f"{_name(fn)}{_parameters(signature)} cannot be called with these arguments: {error}"
        ) from error
    return {name: list(item) if isinstance(item, tuple) and _is_star(signature, name) else item
            for name, item in bound.arguments.items()}  # fmt: skip


def call_reader(fn: Callable[..., Any], runner: str | None = None) -> CallReader:
    """
    Make the reader that turns a payload made by `bind` into `(args, kwargs)`, each validated by its annotation.

    It raises PayloadMismatch, naming the parameters that are missing, unknown or do not fit; *runner* is the name used
    there. Raises InvalidOption for an annotation that pydantic cannot validate.
    """
    runner = runner or _name(fn)
    signature = inspect.signature(fn)
    hints = _hints(fn)
    readers = {
        name: _validator(_collected(parameter, hints[name]), f"parameter {name!r} of {runner!r}")
        for name, parameter in signature.parameters.items()
        if name in hints and not _says_nothing(hints[name])
    }

    def read(payload: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if not isinstance(payload, dict):
            raise PayloadMismatch(runner, f"it is a {type(payload).__name__}, not a map of arguments")
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


def read_call(fn: Callable[..., Any], payload: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Read one payload with a `call_reader` made for it; keep a `call_reader` where there are many."""
    return call_reader(fn)(payload)


def result_reader(fn: Callable[..., Any]) -> Reader:
    """
    Make the reader that turns results of *fn* into the type of its return annotation.

    Without one, or when it may return an Outcome, results are given as they are. The reader raises UnreadableValue
    naming the fields that do not fit.
    """
    wanted = _hints(fn).get("return", Any)
    if _says_nothing(wanted) or _holds_outcome(wanted):
        return _as_is
    name = _name(fn)  # and not the function: who keeps the reader keeps no closure alive
    validate = _validator(wanted, f"the return type of {name!r}")

    def read(result: Any) -> Any:
        try:
            return validate(result)
        except _MisfitError as error:
            raise UnreadableValue(
                f"the result of {name!r} does not fit its return annotation: {error}"
            ) from error.__cause__

    return read


def _misfits(signature: inspect.Signature, payload: dict[Any, Any]) -> list[Problem]:
    unknown: list[Problem] = [((name,), "there is no such parameter") for name in payload.keys() - signature.parameters]
    return unknown + [
        ((name,), "it is missing")
        for name, parameter in signature.parameters.items()
        if name not in payload and parameter.default is parameter.empty and parameter.kind not in _VARIADIC
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


# ---- validating


def _as_is(value: Any) -> Any:
    return value


def _validator(wanted: Any, what: str) -> Reader:
    """Make a reader that raises _MisfitError; InvalidOption, naming *what*, for what pydantic cannot build."""
    try:
        validate = TypeAdapter(wanted).validate_python
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


# ---- annotations


def _hints(fn: Callable[..., Any]) -> dict[str, Any]:
    """Give the annotations of *fn* that can be resolved; one that cannot does not take the others with it."""
    function = _function(fn)
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception:  # noqa: BLE001  an annotation is user code: it may raise anything
        return _hints_one_by_one(function)


def _hints_one_by_one(function: Any) -> dict[str, Any]:
    names = getattr(inspect.unwrap(function), "__globals__", {})
    found: dict[str, Any] = {}
    for name, hint in _annotations(function).items():
        try:
            one = SimpleNamespace(__annotations__={name: hint})
            found |= typing.get_type_hints(one, globalns=names, include_extras=True)
        except Exception:  # noqa: BLE001, S112  as above; without it the value comes as it is
            continue
    return found


def _annotations(function: Any) -> dict[str, Any]:
    try:
        return dict(function.__annotations__)
    except Exception:  # noqa: BLE001  an annotation is user code: it may raise anything
        return {}


def _function(fn: Any) -> Any:
    while isinstance(fn, functools.partial):
        fn = fn.func
    return fn if inspect.isroutine(fn) else type(fn).__call__


def _without_extras(hint: Any) -> Any:
    return typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint


def _says_nothing(hint: Any) -> bool:
    return hint is None or hint is Any or hint is object or isinstance(hint, TypeVar)


def _holds_outcome(hint: Any) -> bool:
    bare = _without_extras(hint)
    if isinstance(bare, type) and typing.get_origin(bare) is None:
        return issubclass(bare, Outcome)
    return any(_holds_outcome(part) for part in typing.get_args(bare) if part is not Ellipsis)
