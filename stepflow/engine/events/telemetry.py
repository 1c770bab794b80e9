"""
What clients and workers ask of telemetry; `stepflow.telemetry` is what answers.

Without any, nothing here is called: each place asks once whether there is some.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from stepflow.core.outcomes import Outcome
from stepflow.core.run import Run
from stepflow.core.verdict import Verdict
from stepflow.engine.spec import RunSpec
from stepflow.engine.user_code.middleware import CallNext, UserCall

#: where a run or a hook stands in a trace, as W3C headers; empty for none
Trace = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AttemptFacts:
    """One attempt of a step: its run as it was claimed, by whom, and what submitted it."""

    run: Run
    worker: str
    trace: Trace
    is_workflow: bool
    #: whether it is a workflow that says it is an agent
    is_agent: bool


@dataclass(frozen=True, slots=True)
class HookFacts:
    """One try to deliver a hook: *target* is a function, a webhook of the app, or a host."""

    hook_id: str
    run_id: str
    runner: str
    target: str
    is_webhook: bool
    #: from 1
    attempt: int
    trace: Trace


class Sending(Protocol):
    """Runs that are being submitted."""

    @property
    def specs(self) -> Sequence[RunSpec]:
        """The runs, each with the trace that its worker is to continue."""

    def note_ids(self, run_ids: Iterable[str]) -> None:
        """Learn under which ids they are there now."""


class Attempt(Protocol):
    """An attempt in progress; code that runs meanwhile is in its span."""

    def note_outcome(self, outcome: Outcome | None) -> None:
        """Learn what the attempt came to; None when the claim was lost."""


class Delivery(Protocol):
    """A try to deliver a hook in progress."""

    @property
    def trace(self) -> Trace:
        """What a webhook sends along, for its receiver to continue."""

    def note_verdict(self, verdict: Verdict) -> None:
        """Learn what the try came to."""


class Telemetry(Protocol):
    """Traces submits, attempts, steps and hooks: pass one to `Stepflow` or to a client."""

    def trace_submit(self, specs: Sequence[RunSpec]) -> AbstractContextManager[Sending]:
        """Trace a submit of *specs*, by a client or by a run that begins children."""

    def trace_attempt(self, facts: AttemptFacts) -> AbstractContextManager[Attempt]:
        """Trace an attempt of a step, and all that is called meanwhile."""

    def note_history(self, entries: int) -> None:
        """Learn how many steps the workflow of the present attempt has behind it."""

    async def around_step(self, call: UserCall, call_next: CallNext) -> Any:
        """Trace an attempt of a `ctx.step`; the outermost middleware of its app."""

    def trace_hook(self, facts: HookFacts) -> AbstractContextManager[Delivery]:
        """Trace a try to deliver a hook."""
