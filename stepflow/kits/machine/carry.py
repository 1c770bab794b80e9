"""A machine's run: from state to state, each entered on record and left on record."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from stepflow.errors import InvalidOption, PayloadMismatch, UnreadableValue
from stepflow.kits.flow.context import Context
from stepflow.kits.flow.replay.ending import StartedOver
from stepflow.kits.machine.context import StateContext
from stepflow.kits.machine.enter import EnterCommand
from stepflow.kits.machine.forms import Carried, Router, Visit
from stepflow.store.values.codec import pack, unpack

if TYPE_CHECKING:
    from stepflow.kits.machine.machine import Machine

#: what the input of a run is that has continued as new: a map with this alone in it
RESUMED = "stepflow.machine"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run stands between two states: *data* as they are stored."""

    label: str
    data: Any
    #: how often each state was entered
    visits: dict[str, int] = field(default_factory=dict)
    #: of a stepped state that is under way
    cursor: Any = None

    def to_input(self) -> dict[str, Any]:
        """Write it as the input of the run's next history."""
        return {RESUMED: [self.label, self.data, self.visits, self.cursor]}

    @classmethod
    def of_input(cls, given: Any, start: str) -> Position:
        """Read it from a run's input, which is the data unless the run has continued as new."""
        if is_resumed(given):
            return cls(*given[RESUMED])
        return cls(start, unpack(pack(given, in_clear=True)))


def is_resumed(given: Any) -> bool:
    """Whether the input of a run says where it has continued as new."""
    return isinstance(given, dict) and RESUMED in given


class Carrying:
    """One activation of a machine's run."""

    def __init__(self, ctx: Context, machine: Machine[Any, Any]) -> None:
        self._ctx, self._machine = ctx, machine
        #: transitions in this history
        self._count = 0

    async def carry(self, given: Any) -> Any:
        """Go from state to state until an end; returns the label of that, and the data."""
        machine, ctx = self._machine, self._ctx
        if is_resumed(given) and not ctx._activation.restarts:  # noqa: SLF001  the kit's own
            problem = "only a run that continues as new begins where it stood"
            raise PayloadMismatch(machine.name, problem)
        at = Position.of_input(given, machine.label_of_start)
        branches: dict[str, Any] = {}
        while True:
            packed = pack(at.data, in_clear=True)
            label = self._route(at.label, packed)
            visit = at.visits.get(label, 0) + (at.cursor is None)
            at = replace(at, label=label, visits=at.visits | {label: visit})
            await self._enter(label, visit)
            if label in machine.end_labels:
                return {"state": label, "data": machine.shape.data.fresh(packed)}
            own = StateContext(ctx.run_id, label, visit, ctx.headers, branches)
            entered = Visit(ctx, packed, own, self._page(at), at.cursor)
            form = machine.forms[label]
            assert isinstance(form, Carried)  # the way goes past routers
            step = await form.carry(entered)
            # a mock of the testing harness gives the state alone
            next_label, data = step if isinstance(step, list) else (step, at.data)
            branches = {label: entered.branches} if entered.branches else {}
            at = Position(next_label, data, at.visits)
            self._count += 1
            if not branches and self._is_long():
                return await ctx.continue_as_new(at.to_input())

    def _route(self, label: str, packed: bytes) -> str:
        """Follow the routers from the state *label* to the one to enter."""
        machine, passed = self._machine, [label]
        while True:
            if label not in machine.labels:
                raise UnreadableValue(self._unknown(label))
            data = machine.shape.data.fresh(packed)
            form = machine.forms.get(label)
            if label in machine.end_labels or not isinstance(form, Router):
                return label
            label = form.choose(data)
            if label in passed:
                way = " -> ".join([*passed, label])
                msg = f"the routers of machine {machine.name!r} go round in a circle: {way}"
                raise InvalidOption(msg)
            passed.append(label)

    def _unknown(self, label: str) -> str:
        return (
            f"the run goes to state {label!r}, which machine {self._machine.name!r} does not have "
            f"any more (it has {', '.join(map(repr, self._machine.labels))}); deploy code that has "
            "it and resume the run, fork it from before, or fail it"
        )

    async def _enter(self, label: str, visit: int) -> None:
        activation = self._ctx._activation  # noqa: SLF001  the kit's own call of `ctx`
        place, future = activation.next_place(), activation.create_future()
        await activation.start(EnterCommand(place, label, future, visit))

    def _page(self, at: Position) -> Any:
        def page(data: Any, cursor: Any) -> None:
            self._count += 1
            if self._is_long():
                given = replace(at, data=data, cursor=cursor).to_input()
                raise StartedOver(self._ctx._activation.continue_as_new(given))  # noqa: SLF001  as above

        return page

    def _is_long(self) -> bool:
        """Whether this history is to end here: it is long, and holds nothing to undo."""
        activation = self._ctx._activation  # noqa: SLF001  as above
        return self._count >= self._machine.restart_after and not activation.has_compensations
