"""The options of `submit`, as type checkers see them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, TypedDict

from stepflow.core.backoff import RetryPolicy
from stepflow.core.runner import TypedRunner
from stepflow.engine.once.options import Debounce, Singleton
from stepflow.engine.spec import RunSpec
from stepflow.hooks.webhook import Webhook
from stepflow.store.durability.level import Durability


class SubmitOptions(TypedDict, total=False):
    """The options of `submit`, all of them by keyword; see RunSpec."""

    run_id: str | None
    headers: Mapping[str, str] | None
    queue: str
    priority: str | int
    delay: float | timedelta | None
    start_at: float | datetime | None
    timeout: float | timedelta | None
    on_timeout: Literal["undo", "end"]
    webhooks: Sequence[Webhook | str]
    retry: RetryPolicy | None
    on_conflict: Literal["return", "restart"]
    version: int | None
    strict: bool
    tags: Mapping[str, str] | None
    lane: str | None
    singleton: str | Singleton | None
    debounce: Debounce | None
    limits: Mapping[str, str] | None
    units: Mapping[str, int] | None
    durability: Durability | None


def spec_of(
    runner: str | Callable[..., Any] | TypedRunner[Any, Any], payload: Any, options: SubmitOptions
) -> RunSpec:
    """Give what a submit is told; TypeError for an option that there is not."""
    if not options:
        return RunSpec(runner, payload)  # type: ignore[arg-type]  # a function is named later
    unknown = options.keys() - SubmitOptions.__annotations__.keys()
    if unknown:
        msg = f"submit() got an unexpected keyword argument {min(unknown)!r}"
        raise TypeError(msg)
    given: dict[str, Any] = {**options}
    for name in _MAPPINGS & given.keys():
        given[name] = given[name] or {}
    return RunSpec(runner, payload, **given)  # type: ignore[arg-type]  # a function is named later


#: options that may be None for none
_MAPPINGS = frozenset({"headers", "tags", "limits", "units"})
