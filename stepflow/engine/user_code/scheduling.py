"""The decorator by which code declares when its runners, jobs and workflows run by themselves."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from stepflow.engine.user_code.arguments import bind
from stepflow.engine.user_code.registered import Registration, registrations_of
from stepflow.errors import InvalidOption

if TYPE_CHECKING:
    from stepflow.engine.registry import Registry
    from stepflow.engine.schedules.spec import ScheduleOptions

F = TypeVar("F", bound=Callable[..., Any])


class Scheduling:
    """The decorator of an app for functions that run at given times."""

    registry: Registry

    def schedule(
        self,
        cron: str | None = None,
        *,
        id: str | None = None,  # noqa: A002  as the clients name it
        payload: Any = None,
        keep: bool = False,
        **options: Unpack[ScheduleOptions],
    ) -> Callable[[F], F]:
        """
        Begin a run of the runner, job or workflow below at the times of a *cron* line.

        Or `every=timedelta(...)`, or `at=[...]`. Put it above `@app.runner`, `@app.job` or
        `@app.workflow`. *payload* is that of each run, for a job its arguments by name. *id* is by
        default the runner's name. Workers put the schedule at their start; with *keep* it fires
        even when no live worker declares it any more. Raises InvalidOption for what cannot be.
        """

        def declare(function: F) -> F:
            from stepflow.engine.schedules.declared import Declaration  # noqa: PLC0415  as below
            from stepflow.engine.schedules.spec import make_spec  # noqa: PLC0415  few have any

            registered = _registration(function, self.registry)
            schedule_id = re.sub(r"[^\w-]", "-", registered.name) if id is None else id
            given = _payload(function, registered, payload)
            spec = make_spec(schedule_id, registered.name, cron, given, options)
            if any(each.spec.id == spec.id for each in self.registry.schedules):
                raise InvalidOption(
                    f"schedule {spec.id!r} is declared twice; give one of them another id: "
                    "@app.schedule(..., id=...)"
                )
            self.registry.schedules.append(Declaration(spec, is_kept=keep))
            self.registry.deployed_at = max(self.registry.deployed_at, _changed_at(function))
            return function

        return declare


def _registration(function: object, registry: Registry) -> Registration:
    known = registrations_of(function, registry)
    if known:
        return known[-1]
    name = getattr(function, "__name__", type(function).__name__)
    raise InvalidOption(
        f"{name} is not registered yet; put @app.schedule above @app.runner, @app.job or "
        "@app.workflow of the same app"
    )


def _payload(function: Any, registered: Registration, payload: Any) -> Any:
    """Give the payload of each run: of a job, the call that it stands for."""
    if registered.kind != "job":
        registered.registry.check_input(registered.name, registered.version, payload)
        return payload
    if payload is not None and not isinstance(payload, Mapping):
        raise InvalidOption(
            f"the payload of job {registered.name!r} is its arguments by name, such as "
            "payload={'to': 'ops'}"
        )
    return bind(function.function, (), dict(payload or {}))


def _changed_at(function: Any) -> float:
    """Say when the file of *function* was written, in unix seconds; 0 where that is not known."""
    with suppress(TypeError, OSError):
        file = inspect.getsourcefile(inspect.unwrap(getattr(function, "function", function)))
        return os.stat(file).st_mtime if file else 0.0  # noqa: PTH116  a path as text
    return 0.0
