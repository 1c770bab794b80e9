"""`@tool`: what a model may call, with a schema that follows from the function's signature."""

from __future__ import annotations

import functools
import inspect
import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, overload

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from stepflow.agents.providers.model import ToolSpec
from stepflow.core.backoff import RetryPolicy, check_policy
from stepflow.engine.user_code.callables import check_callable
from stepflow.engine.user_code.calls import is_async
from stepflow.engine.user_code.hints import hints_of, own_signature
from stepflow.engine.user_code.resources.resource import is_injected
from stepflow.engine.user_code.resources.supply import supplied_step
from stepflow.errors import InvalidOption, shown
from stepflow.kits.flow.current_step import current_step

_formatter = string.Formatter()
F = TypeVar("F", bound=Callable[..., Any])

#: where a function carries what `@tool` said of it
_MARK = "__stepflow_tool__"
#: what providers take for a name
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
#: the parameter that a tool gets from its step instead of from the model
_IDEMPOTENCY_KEY = "idempotency_key"
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class UnreadableArgumentsError(Exception):
    """What a model wrote as arguments is not what the tool takes; its text is for the model."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may call; make it by `@tool` or `as_tool`."""

    name: str
    description: str
    #: what a step of the workflow calls
    function: Callable[..., Any]
    parameters: Mapping[str, Any]
    arguments: type[BaseModel]
    names: Mapping[str, str]
    read_only: bool = False
    timeout: float | timedelta | None = None
    retry: RetryPolicy | None = None
    ask: str | bool = False
    compensate: Callable[[Any], Any] | None = None
    in_workflow: bool = False

    def spec(self) -> ToolSpec:
        return ToolSpec(self.name, self.description, self.parameters)

    def read(self, text: str) -> dict[str, Any]:
        """Return the arguments that *text* stands for; raises UnreadableArgumentsError."""
        try:
            made = self.arguments.model_validate_json(text.strip() or "{}")
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False, include_input=False)
            said = "; ".join(
                ": ".join(filter(None, (".".join(map(str, each["loc"])), each["msg"])))
                for each in problems
            )
            raise UnreadableArgumentsError(said) from None
        return {self.names[field]: getattr(made, field) for field in made.model_fields_set}

    def question(self, arguments: Mapping[str, Any]) -> str:
        """Return what people are asked before it is called."""
        if isinstance(self.ask, str):
            return self.ask.format_map(_Shown(self, arguments))
        given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        return f"Allow {self.name}({given})?"


class _Shown(dict[str, Any]):
    """The arguments by name; one that the model left out has the function's default."""

    def __init__(self, tool: Tool, arguments: Mapping[str, Any]) -> None:
        defaults = {
            name: tool.arguments.model_fields[field].default for field, name in tool.names.items()
        }
        super().__init__({**defaults, **arguments})


@overload
def tool(function: F, /) -> F: ...
@overload
def tool(
    *,
    name: str | None = None,
    read_only: bool = False,
    timeout: float | timedelta | None = None,
    retry: RetryPolicy | None = None,
    ask: str | bool = False,
    compensate: Callable[[Any], Any] | None = None,
    in_workflow: bool = False,
) -> Callable[[F], F]: ...
def tool(function: Any = None, /, **options: Any) -> Any:
    """
    Say how the function below is called as a tool; it stays an ordinary function.

    A model is told its name, the first paragraph of its docstring, and a schema of its parameters:
    `limit: Annotated[int, Field(ge=1, description="at most so many")] = 10`. A parameter
    `idempotency_key` gets that of its step, and one with `inject(...)` its resource.

    With *read_only* it may run beside other such tools; any other runs alone. *timeout* (seconds or
    timedelta), *retry* and *compensate* are those
    of its step; without a policy a TransientError is tried again, and the model hears of any other
    error at once. With *ask* people are asked first:
    `ask="Refund {amount} to {customer}?"`, or True. With *in_workflow* it is called by the
    workflow itself, not as a step: it finds `ctx` by `stepflow.current()` and may do all that a
    workflow may, such as run another tool loop.
    """

    def declare(function: F) -> F:
        check_callable(function, "@tool", "")
        setattr(function, _MARK, _make(function, **options))
        return function

    return declare if function is None else declare(function)


def as_tool(function: Callable[..., Any] | Tool) -> Tool:
    """Return *function* as a tool: as it was declared, else one that runs alone."""
    if isinstance(function, Tool):
        return function
    made = getattr(function, _MARK, None)
    if isinstance(made, Tool):
        return made
    check_callable(function, "a tool", "tools=[{}]")
    return _make(function)


def _make(function: Callable[..., Any], **options: Any) -> Tool:
    called = options.pop("name", None) or getattr(function, "__name__", type(function).__name__)
    if not isinstance(called, str) or not _NAME.fullmatch(called):
        msg = (
            f"a tool cannot be called {shown(called)}: use letters, digits, '_' or '-', 64 at most"
        )
        raise InvalidOption(msg)
    if options.get("retry") is not None:
        check_policy(options["retry"], f"tool {called!r}")
    if options.get("compensate") is not None:
        check_callable(options["compensate"], f"compensate of tool {called!r}", "compensate={}")
    arguments, names = _arguments(called, function)
    described = inspect.getdoc(function) or ""
    made = Tool(
        called, " ".join(described.partition("\n\n")[0].split()), _with_key(function),
        _schema(arguments), arguments, names, **options,
    )  # fmt: skip
    _check_question(made)
    return made


def _arguments(
    name: str, function: Callable[..., Any]
) -> tuple[type[BaseModel], Mapping[str, str]]:
    """Make the model of the arguments; its fields have names of ours, which nothing forbids."""
    hints = hints_of(function)
    names: dict[str, str] = {}
    fields: dict[str, Any] = {}
    for parameter in own_signature(function).parameters.values():
        if parameter.kind in _VARIADIC or parameter.kind is parameter.POSITIONAL_ONLY:
            msg = f"tool {name!r} cannot have parameter {parameter}: a model passes all by name"
            raise InvalidOption(msg)
        if parameter.name == _IDEMPOTENCY_KEY or is_injected(parameter):
            continue
        field = f"argument_{len(names)}"
        names[field] = parameter.name
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[field] = (
            hints.get(parameter.name, Any), Field(default, alias=parameter.name)
        )  # fmt: skip
    try:
        made: Any = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
    except Exception as error:
        msg = f"tool {name!r}: pydantic makes no schema of its parameters: {error}"
        raise InvalidOption(msg) from error
    return made, names


def _schema(arguments: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema, without the titles that only repeat the names."""
    schema = arguments.model_json_schema()
    schema.pop("title", None)
    for each in schema.get("properties", {}).values():
        each.pop("title", None)
    return schema


def _check_question(tool: Tool) -> None:
    """Refuse a question that names what the tool does not take, before anybody is to be asked."""
    if not isinstance(tool.ask, str):
        return
    try:
        wanted = [each for _, each, _, _ in _formatter.parse(tool.ask) if each is not None]
    except ValueError as error:
        msg = f"ask of tool {tool.name!r} is {shown(tool.ask)}: {error}"
        raise InvalidOption(msg) from None
    unknown = {re.split(r"[.\[]", each)[0] for each in wanted} - set(tool.names.values())
    if unknown:
        msg = (
            f"ask of tool {tool.name!r} names {', '.join(sorted(unknown))}, which it does not take"
        )
        raise InvalidOption(msg)


def _with_key(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what gives *function* the idempotency key of its step; itself if it wants none."""
    if _IDEMPOTENCY_KEY not in own_signature(function).parameters:
        return function

    def key() -> dict[str, str]:
        step = current_step()
        return {} if step is None else {_IDEMPOTENCY_KEY: step.idempotency_key}

    if is_async(function):

        async def call_async(**arguments: Any) -> Any:
            return await supplied_step(function)(**arguments, **key())

        return _named_as(function, call_async)

    def call_plain(**arguments: Any) -> Any:
        return supplied_step(function)(**arguments, **key())

    return _named_as(function, call_plain)


def _named_as(function: Callable[..., Any], made: Callable[..., Any]) -> Callable[..., Any]:
    """Give *made* the name and options of *function*, but its own signature."""
    functools.update_wrapper(made, function)
    del made.__wrapped__  # type: ignore[attr-defined]  # it was set a line above
    return made
