"""One run that is looked at, and what was read of it so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stepflow.core.open_command import OpenCommand
from stepflow.core.run import Parked, Run, RunState
from stepflow.engine.spec import NO_OPTIONS, StoredOptions, read_options
from stepflow.errors import StepflowError
from stepflow.store.calls import Call
from stepflow.store.values.codec import unpack

Calls = dict[str, Call[Any]]
Answers = dict[str, Any]


@dataclass(slots=True)
class Look:
    """One run that is looked at, and what was read of it so far."""

    run_id: str
    #: how many levels of children may be looked at below it
    levels: int
    first: Answers = field(default_factory=dict)
    second: Answers = field(default_factory=dict)
    third: Answers = field(default_factory=dict)
    commands: Sequence[OpenCommand] = ()
    options: StoredOptions = NO_OPTIONS
    child: Look | None = None

    @property
    def run(self) -> Run | None:
        """Its record."""
        run: Run | None = self.first["run"]
        return run

    @property
    def is_parked_in_map(self) -> bool:
        """Whether it waits for its turn in a map."""
        return bool(self.first["glance"][-1] == str(Parked.LIMIT).encode())

    @property
    def build_position(self) -> int | None:
        """Its position in the waiting list of a build; None when it stands in none."""
        places = (at for name, at in self.second.items() if name.startswith("build "))
        return next((at for at in places if at is not None), None)

    def take_first(self, answers: Answers) -> None:
        """Note what the first reading says, and which child that leads to."""
        self.first = answers
        if self.run is None:
            return
        self.options = _options(answers["data"])
        if self.run.state is RunState.WAITING and not self.is_parked_in_map:
            self.commands = _open_commands(answers["data"].get(b"open"))
        children = [command.awaited_id for command in self.commands if command.kind == "child"]
        if children and self.levels:
            self.child = Look(children[0], self.levels - 1)


def _options(data: Mapping[bytes, bytes]) -> StoredOptions:
    try:
        return read_options(data.get(b"spec"))
    except StepflowError:
        return NO_OPTIONS


def _open_commands(packed: bytes | None) -> list[OpenCommand]:
    """Read what a parked run waits for; nothing where it does not say, or cannot be read."""
    try:
        return [OpenCommand.read(parts) for parts in unpack(packed)] if packed else []
    except (StepflowError, ValueError, TypeError):
        return []
