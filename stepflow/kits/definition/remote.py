"""Steps that workers of another queue do, or workers that can do what this one cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from stepflow.core.graphs.definitions import STEP_RUNNER, capability_runner
from stepflow.engine.registry import Registry
from stepflow.jobs import call_runner
from stepflow.kits.definition.known import Known
from stepflow.kits.definition.values.templates import Filled
from stepflow.kits.definition.work import work_of
from stepflow.kits.flow.step_options import DeclaredStep, declare


class Remote:
    """
    The functions that do one step as a child run, one for each capability.

    A worker registers those of its own capabilities; a step that requires another one waits for a
    worker that has it, as every run of an unknown runner does.
    """

    def __init__(self, registry: Registry, known: Known) -> None:
        self._registry, self._known = registry, known
        self._functions: dict[str, Callable[..., Any]] = {}
        self._register(STEP_RUNNER)

    def function(self, capability: str | None) -> Callable[..., Any]:
        """Give the function for steps that require *capability*."""
        return self._function(STEP_RUNNER if capability is None else capability_runner(capability))

    def declare(self, capabilities: Iterable[str]) -> None:
        """Register what workers of this app can do beyond others."""
        for capability in capabilities:
            if capability not in self._known.capabilities:
                self._known.capabilities.add(capability)
                self._register(capability_runner(capability))

    def _register(self, runner: str) -> None:
        self._registry.add(runner, call_runner(self._function(runner), runner))

    def _function(self, runner: str) -> Callable[..., Any]:
        if runner in self._functions:
            return self._functions[runner]
        known = self._known

        async def work(kind: str, value: Any, holes: list[Any], timeout_s: float | None) -> Any:
            return await work_of(known, kind, Filled(value, holes), timeout_s)

        declare(work, DeclaredStep(runner=runner))
        self._functions[runner] = work
        return work
