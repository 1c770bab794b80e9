"""
The mark that a registered function carries: under which names it is known, and to whom.

By it you may pass the function itself where a name is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepflow.core.runner import TypedRunner
from stepflow.engine.user_code.callables import check_callable
from stepflow.errors import InvalidOption

if TYPE_CHECKING:
    from stepflow.engine.registry import Registry
    from stepflow.engine.user_code.arguments import Reader

#: where a function carries its registrations; `functools.wraps` takes them along
_MARK = "__stepflow_registered__"


@dataclass(frozen=True, slots=True)
class Registration:
    """
    One name of a function; *kind* is `workflow`, `runner` or `job`.

    *read* turns a result into the type that the function declares.
    """

    registry: Registry
    kind: str
    name: str
    version: int | None = None
    read: Reader | None = None


def mark(function: object, registration: Registration) -> None:
    """Have *function* carry *registration*; one that takes no attributes goes by its name only."""
    known: tuple[Registration, ...] = getattr(function, _MARK, ())
    try:
        setattr(function, _MARK, (*known, registration))
    except AttributeError:
        return


def is_workflow(function: Callable[..., Any]) -> bool:
    """Whether *function* is registered as a workflow, by whichever app."""
    known: tuple[Registration, ...] | None = getattr(function, _MARK, None)
    return isinstance(known, tuple) and known[0].kind == "workflow"


def registrations_of(function: object, registry: Registry) -> list[Registration]:
    """Give the names that *function* is registered under in the app of *registry*."""
    marked = getattr(function, _MARK, ())
    return [each for each in marked if each.registry.owner is registry.owner]


def registration_of(
    function: object, registry: Registry | None, version: int | None, verb: str
) -> Registration:
    """
    Find the one name by which *function* is known to the app of *registry*, or to any app.

    The newest version of that name, unless you say which. *verb* is the call, such as
    `client.submit`. Raises InvalidOption for what is not registered, for a function of another
    app, and for one that has several names.
    """
    if not isinstance(function, TypedRunner):
        check_callable(function, verb, f"{verb}({{}}, payload)")
    elif not hasattr(function, _MARK):
        raise InvalidOption(
            f"machine {function.name!r} is not registered: call app.machine with it, or pass the "
            "name of one"
        )
    name = getattr(function, "__name__", type(function).__name__)
    marked = getattr(function, _MARK, ())
    every = [each for each in marked if isinstance(each, Registration)]
    if not every:
        raise InvalidOption(
            f"{name} is not a workflow of this app: put @app.workflow above it, or pass the name "
            "of one"
        )
    if every[0].kind == "job":
        name = getattr(getattr(function, "function", None), "__name__", name)
        advice = (
            "write ctx.step({0}.function, ...)"
            if verb.startswith("ctx")
            else "write {0}.submit(...)"
        )
        raise InvalidOption(f"{name} is a job; {advice.format(name)}")
    known = [each for each in every if registry is None or each.registry.owner is registry.owner]
    if not known:
        raise InvalidOption(
            f"{name} is not a workflow of this app but of another one: use that app's client, or "
            f"pass the name {every[0].name!r}"
        )
    names = sorted({each.name for each in known})
    if len(names) > 1:
        raise InvalidOption(
            f"{name} is registered as {' and as '.join(map(repr, names))}: pass the name that you "
            "mean"
        )
    fitting = [each for each in known if version is None or each.version in (None, version)]
    return max(fitting or known, key=lambda each: each.version or 0)
