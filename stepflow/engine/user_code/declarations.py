"""Functions that you register, checked where you do it: what they are, and what they take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stepflow.core.run import RunOutcome
from stepflow.core.runner import Step, WorkflowContext
from stepflow.engine.user_code.callables import check_callable
from stepflow.engine.user_code.calls import is_async
from stepflow.engine.user_code.hints import hints_of, own_signature, says_nothing, without_extras
from stepflow.engine.user_code.resources.resource import injections
from stepflow.errors import InvalidOption
from stepflow.names import dotted_name


def check_declared(function: object, decorator: str) -> None:
    """Raise InvalidOption unless *function* is one that *decorator*, like `@app.job`, may mark."""
    if isinstance(function, type):
        name = function.__name__
        advice = (
            f"register an object: app.register({name!r}, {name}())"
            if hasattr(function, "run_step")
            else "put it above a def"
        )
        raise InvalidOption(f"{decorator} was given the class {name}; {advice}")
    check_callable(function, decorator, f"{decorator} above def {{}}(...)")


def own_name(function: Callable[..., Any], decorator: str, *, is_dotted: bool = False) -> str:
    """Return what *function* is called, with its module if *is_dotted*."""
    name = getattr(function, "__qualname__" if is_dotted else "__name__", "<lambda>")
    if "<lambda>" in name:
        raise InvalidOption(
            f"{decorator} was given a function without a name; write {decorator}(name=...)"
        )
    return dotted_name(function).replace(".<locals>", "") if is_dotted else str(name)


def check_runner(function: Callable[..., Any], name: str) -> None:
    """Raise InvalidOption unless runner *name* can be called with a Step alone."""
    if not _takes(function, 1):
        raise InvalidOption(
            f"runner {name!r} is called with one Step, and its function takes "
            f"{_parameters(function)}; write def {_called(function)}(step: Step)"
        )
    first, hint = _first_of(function)
    if hint is None or _may_be(hint, Step):
        return
    called = _called(function)
    what = (
        f"is a {hint.__name__}; that is a workflow: put @app.workflow above {called}"
        if issubclass(hint, WorkflowContext)
        else f"is annotated as {hint.__name__} and gets the Step, whose payload is step.payload; "
        f"write def {called}(step: Step[{hint.__name__}])"
    )
    raise InvalidOption(f"the first parameter of runner {name!r}, {first!r}, {what}")


def takes_hook_context(function: Callable[..., Any]) -> bool:
    """
    Say whether a hook has to be called with a HookContext besides its RunOutcome.

    Raises InvalidOption for one that can be called with neither.
    """
    name = _called(function)
    first, hint = _first_of(function)
    if hint is not None and not _may_be(hint, RunOutcome):
        raise InvalidOption(
            f"the first parameter of hook {name}, {first!r}, is annotated as {hint.__name__} and "
            f"gets the RunOutcome; write def {name}(outcome: RunOutcome)"
        )
    if _takes(function, 1):
        return False
    if _takes(function, 2):
        return True
    raise InvalidOption(
        f"hook {name} is called with one RunOutcome and, if it takes one, its context; it takes "
        f"{_parameters(function)}: write def {name}(outcome: RunOutcome) or "
        f"def {name}(outcome: RunOutcome, ctx: HookContext)"
    )


def takes_input(function: Callable[..., Any], name: str, context: type[WorkflowContext]) -> bool:
    """
    Say whether workflow *name* takes an input beside its ctx, which is a *context*.

    Raises InvalidOption for a function that cannot be called with either, and for one that takes
    its ctx for something else.
    """
    written = f"{'async ' if is_async(function) else ''}def {_called(function)}"
    if (asked := next(iter(injections(function)), None)) is not None:
        raise InvalidOption(
            f"workflow {name!r} asks for a resource, {asked!r}; a workflow is called again for "
            "each replay, so only its steps get resources: move the parameter to one of them"
        )
    if not _takes(function, 1) and not _takes(function, 2):
        raise InvalidOption(
            f"workflow {name!r} is called with its ctx and, if it takes one, its input; its "
            f"function takes {_parameters(function)}: write {written}(ctx) or "
            f"{written}(ctx, input), with all that it needs in the input"
        )
    _check_first(function, name, written, context)
    return _takes(function, 2)


def _check_first(
    function: Callable[..., Any], name: str, written: str, context: type[WorkflowContext]
) -> None:
    """Refuse a first parameter that is annotated as something which no ctx is."""
    first, hint = _first_of(function)
    if hint is None or _may_be(hint, context):
        return
    if issubclass(hint, WorkflowContext):
        raise InvalidOption(
            f"workflow {name!r} is {'an async' if is_async(function) else 'a plain'} def, whose "
            f"ctx is a {context.__name__}, and annotates it as {hint.__name__}; write "
            f"{written}({first}: {context.__name__}, ...)"
        )
    better = f"{first}: {context.__name__}" if first == "ctx" else f"ctx, {first}"
    what = (
        f"is a Step; that is a runner: put @app.runner above {_called(function)}"
        if issubclass(hint, Step)
        else f"is annotated as {hint.__name__} and gets the ctx; write {written}({better})"
    )
    raise InvalidOption(f"the first parameter of workflow {name!r}, {first!r}, {what}")


def _first_of(function: Callable[..., Any]) -> tuple[str, type | None]:
    """Give the first parameter, and the class that it is annotated as; None where that is none."""
    try:
        first = next(iter(own_signature(function).parameters), "")
    except (TypeError, ValueError):
        return "", None
    hint = without_extras(hints_of(function).get(first))
    hint = getattr(hint, "__origin__", hint)
    if says_nothing(hint) or not isinstance(hint, type) or getattr(hint, "_is_protocol", False):
        return first, None
    return first, hint


def _may_be(hint: type, given: type) -> bool:
    """Whether what is annotated as *hint* may be a *given*."""
    return issubclass(hint, given) or issubclass(given, hint)


def _takes(function: Callable[..., Any], count: int) -> bool:
    """Whether *function* can be called with so many arguments, by position."""
    try:
        signature = own_signature(function)
    except (TypeError, ValueError):  # a builtin that does not say, or a mock
        return True
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True


def _parameters(function: Callable[..., Any]) -> str:
    try:
        names = list(own_signature(function).parameters)
    except (TypeError, ValueError):
        return "something else"
    return f"({', '.join(names)})" if names else "no parameter"


def _called(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)
