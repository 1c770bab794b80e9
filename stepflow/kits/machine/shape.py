"""What a machine is about: its states by their labels, and its data as they are kept."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Any

from stepflow.engine.user_code.arguments import Reader
from stepflow.engine.user_code.lossless import check_lossless
from stepflow.errors import InvalidOption, PayloadMismatch, UnreadableValue, WrongTransition, shown
from stepflow.store.values.codec import pack, unpack
from stepflow.store.values.kinds import Kind

#: what a state's step gives: the label of the next state, and the data, as they are stored
Step = list[Any]


@dataclass(frozen=True, slots=True)
class Data:
    """The type of a machine's data: one object, kept with each transition."""

    machine: str
    kind: Kind
    read: Reader

    def fresh(self, packed: bytes) -> Any:
        """
        Make the object that was packed, a new one each time.

        Raises UnreadableValue where the type has changed since.
        """
        try:
            return self.read(unpack(packed))
        except PayloadMismatch as misfit:
            msg = f"the data of machine {self.machine!r} do not fit their type: {misfit.problem}"
            raise UnreadableValue(msg) from misfit

    def plain(self, value: Any) -> Any:
        """
        Give the object as it is stored.

        Raises UnsupportedValue for one with more in it than its type says, InvalidOption for one
        that would not be valid when it is read back.
        """
        what = f"the data of machine {self.machine!r}"
        check_lossless(self.kind, value, what)
        packed = pack(value, what=what, in_clear=True)
        try:
            self.read(unpack(packed))
        except PayloadMismatch as misfit:
            raise InvalidOption(f"{what} would not be valid: {misfit.problem}") from misfit
        return unpack(packed)


@dataclass(frozen=True, slots=True)
class Shape:
    """What the functions of a machine's states are held against."""

    machine: str
    states: type[Enum]
    data: Data

    def label(self, state: str, to: Collection[str], chosen: object) -> str:
        """Return the label of the state *chosen* by *state*; raises WrongTransition."""
        if not isinstance(chosen, self.states):
            raise WrongTransition(self.machine, state, shown(chosen), sorted(to))
        label: str = chosen.value
        if label not in to:
            raise WrongTransition(self.machine, state, repr(label), sorted(to))
        return label

    def step(self, state: str, to: Collection[str], chosen: object, data: object) -> Step:
        """Make what a state's step gives."""
        return [self.label(state, to, chosen), self.data.plain(data)]
