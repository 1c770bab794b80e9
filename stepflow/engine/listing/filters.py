"""What a list of runs is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stepflow.core.run import ENDS, Run, RunState, RunStatus
from stepflow.engine.spec import read_options
from stepflow.engine.status import state_of
from stepflow.engine.steering.where import Where
from stepflow.errors import InvalidOption, StepflowError


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs a listing gives; None or empty for whatever it is."""

    state: RunState | None = None
    runner: str | None = None
    queue: str | None = None
    #: the id of the run that began them
    parent: str | None = None
    #: only runs that no run began
    roots: bool = False
    #: unix seconds: only runs that were submitted from then on
    since: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    where: Where = field(default_factory=Where)
    #: whether payloads and results are read as well
    values: bool = True

    @property
    def reads_spec(self) -> bool:
        """Whether it asks for what only the spec of a run says."""
        return bool(self.parent or self.roots or self.headers)

    @property
    def is_indexed(self) -> bool:
        """Whether an index holds just what it asks for, so that every run looked at is one."""
        is_plain = not (self.reads_spec or self.queue or self.where.is_narrow)
        narrows = len(self.tags) + bool(self.state or self.runner)
        has_index = self.state is None or self.state in ENDS
        return is_plain and has_index and (not self.tags or narrows == 1)

    def fits(self, run: Run) -> bool:
        """Say whether the record of a run is of this kind."""
        return (
            (self.state is None or state_of(run) is self.state)
            and (self.runner is None or run.runner == self.runner)
            and (self.queue is None or run.queue == self.queue)
            and (self.since is None or run.created_at >= self.since)
        )

    def fits_spec(self, spec: bytes | None) -> bool:
        """Say whether what a run kept of its submit is of this kind; not if it cannot be read."""
        try:
            options = read_options(spec)
        except StepflowError:
            return False
        begun_by = None if options.parent is None else options.parent.run_id
        return (
            (self.parent is None or begun_by == self.parent)
            and not (self.roots and begun_by is not None)
            and all(options.headers.get(name) == value for name, value in self.headers.items())
        )

    def fits_status(self, run: RunStatus) -> bool:
        """Say whether what is known of a run is of this kind, its data included."""
        has_tags = all(run.tags.get(key) == value for key, value in self.tags.items())
        return has_tags and self.where.holds_for(run)


def read_state(state: str | None) -> RunState | None:
    """Read the name of a state; raises InvalidOption for what is none."""
    if state is None:
        return None
    try:
        return RunState(state)
    except ValueError:
        msg = f"state {state!r} is none of {', '.join(RunState)}"
        raise InvalidOption(msg) from None
