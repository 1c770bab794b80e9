"""What a workflow needs of the worker that runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from stepflow.core.backoff import RetryPolicy
from stepflow.core.cancel import CancelToken
from stepflow.core.children import ChildGroup
from stepflow.core.journal import EntryKind
from stepflow.core.outcomes import Outcome, Resting
from stepflow.core.run import Cleanup, Run
from stepflow.core.runner import Step
from stepflow.core.under_way import Attempts
from stepflow.engine.spec import RunSpec
from stepflow.logs import StepFacts
from stepflow.store.questions import QuestionOutcome

if TYPE_CHECKING:
    from stepflow.core.breakers.breaker import Permits
    from stepflow.core.budgets.budget import Budget
    from stepflow.core.budgets.cost import Cost
    from stepflow.core.limits.slot import StepSlot
    from stepflow.core.limits.use import LimitUse
    from stepflow.engine.observing.observers import Observers
    from stepflow.store.budgets.spending import NoRoom, Reservation


class OutputScope(Protocol):
    """Where the emits of one attempt of a step lead, and its log lines come from."""

    @property
    def facts(self) -> StepFacts:
        """What log lines say of the step."""

    @property
    def has_emitted(self) -> bool:
        """Whether the attempt has emitted anything."""

    def emit(self, data: Any, topic: str) -> Awaitable[None]:
        """Take one item; what is returned is done when it is written."""

    def reset(self, attempt: int | None) -> None:
        """Declare void what the scope has said so far; *attempt* begins, None given up."""

    def close(self) -> None:
        """Take nothing more: the attempt has ended."""

    async def end(self) -> None:
        """Take nothing more, and wait until all is written; raises why that cannot be."""


class ToCompute(Protocol):
    """The right to compute a shared value."""

    def keep(self, packed: bytes, lasts_s: float, label: str = "") -> None:
        """Write the value, for so many seconds."""

    def give_back(self) -> None:
        """Let another compute it."""


class SharedValues(Protocol):
    """The values that runs share, by name and digest."""

    async def claim(self, name: str, digest: str, step: str = "") -> bytes | ToCompute:
        """
        Get a value, packed, or the right to compute it, for the step at place *step*.

        Raises Postponed while another run computes it.
        """


class Settling(NamedTuple):
    """What a journal entry settles in budgets: a call, and what it has cost, None for unknown."""

    reserved: Reservation
    used: Cost | None


class Budgets(Protocol):
    """The budgets that steps spend of."""

    async def reserve(
        self, budgets: Sequence[Budget], most: Cost, slot: str, granted: Mapping[str, int]
    ) -> Reservation | NoRoom:
        """Reserve what a call costs at most; *granted* is what people have granted, by sheet."""

    def wait(self, budgets: Sequence[Budget], slot: str) -> Callable[[], None] | None:
        """Learn that a step waits for room; gives what is called should nobody want it any more."""

    def settle(self, reserved: Reservation, used: Cost | None) -> None:
        """Settle a call of which the journal remembers nothing."""


class StepLimits(Protocol):
    """The limits that steps have, as the worker takes slots of them."""

    async def take(
        self,
        step: str,
        name: str,
        uses: Sequence[LimitUse],
        said: Mapping[str, str],
        *,
        is_first: bool,
        wake: Callable[[], None],
    ) -> StepSlot:
        """
        Get a slot of each limit in *uses*; *said* is what the code says of them.

        Raises Postponed while there is no room. *wake* is called when other steps may go on.
        """

    def over(self, slot: StepSlot) -> None:
        """Give a slot back in the next write to the journal."""

    def rest(self, resting: Resting) -> None:
        """Have a limit rest, from the next write to the journal on."""

    def give_back(self, *slots: StepSlot) -> None:
        """Give slots back at once."""

    def leave_places(self, steps: Sequence[str]) -> None:
        """Give up places in line that these steps, or parts of them, have from an earlier claim."""

    def flush(self) -> None:
        """Give back at once what waits for a write."""


class ActivationWatch(Protocol):
    """What an activation tells its worker of itself, and how it is told of its run."""

    #: called when something was put into the run's inbox; None while nobody listens
    on_inbox: Callable[[], None] | None
    #: the attempts in progress, for a thread that asks now and then; None outside of any
    attempts: Attempts | None
    #: called on the worker's loop when the run is to be left as soon as a step has ended
    on_let_go: Callable[[], None] | None
    #: whether the workflow itself waits for a time or a wake-up, whatever runs on its behalf
    is_waiting: bool


class FlowRuntime(Protocol):
    """
    The runtime's side of one activation: a worker's, the replayer's, or a test's in memory.

    Every write is made under the claim the activation ran with, once whatever is sent again. A
    future that answers 0 or nothing says that the claim is another worker's now.
    """

    @property
    def watch(self) -> ActivationWatch:
        """What the worker is told of the activation, and tells it."""

    @property
    def run(self) -> Run:
        """The run, kept up to date by the writes below."""

    @property
    def observers(self) -> Observers | None:
        """The observers of the app, who are told of steps; None where it has none."""

    @property
    def cancel(self) -> CancelToken:
        """Fires when the run was asked to stop, or its claim is lost."""

    @property
    def policy(self) -> RetryPolicy:
        """How often an activation is tried, and the default of its steps."""

    @property
    def stop_grace_s(self) -> float:
        """Seconds that a run which was asked to stop is given."""

    @property
    def limit(self) -> int:
        """The most bytes that a packed value may have."""

    @property
    def output_limit(self) -> int:
        """The most bytes that a packed item of the output may have."""

    @property
    def slice_s(self) -> float:
        """Seconds that a worker may keep going with one run while others wait."""

    @property
    def runs_in_hand(self) -> int:
        """How many runs share the worker."""

    @property
    def permits(self) -> Permits:
        """What gives its steps permits of circuit breakers."""

    @property
    def shared(self) -> SharedValues:
        """What has the values that runs share."""

    @property
    def limits(self) -> StepLimits:
        """What gives its steps slots of limits."""

    @property
    def budgets(self) -> Budgets:
        """What its steps reserve in budgets, and settle."""

    @property
    def family(self) -> str:
        """The run that the run descends from, itself where it is no child: `<id>.<generation>`."""

    async def is_slot_wanted(self) -> bool:
        """Whether others wait for the run's slot, or its worker is to keep no run."""

    @property
    def now(self) -> Callable[[], float]:
        """What returns the server's unix time in seconds."""

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[Any]:
        """Limit an `async with` block to so many seconds of the clock that `now` reads."""

    def attempt_counter(self) -> Callable[[EntryKind, float], None]:
        """Return what counts an attempt, by the kind of the entry that remembers it and seconds."""

    def spread(self) -> float:
        """Return a random number in [0, 1) for the wait before a retry."""

    def call(
        self,
        name: str,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Coroutine[Any, Any, Any]:
        """Call the function of the step *name*, on the loop or in a thread."""

    def output_scope(self, name: str, attempt: int, step: str) -> OutputScope:
        """Make where the emits of one attempt of a step lead; *step* is for log lines."""

    def emit_entry(
        self, index: int, head: bytes, data: bytes, topic: str, most_bytes: int | None = None
    ) -> asyncio.Future[list[bytes]]:
        """
        Add an item to the run's output and remember its id as entry *index*, in one write.

        Of the output stay *most_bytes* at most, where that is less than is set.
        """

    def go_live(self, so_far: Outcome | None) -> None:
        """
        Learn that all that was remembered has been handed over.

        *so_far* is the end, if that led to one. What this raises ends the activation.
        """

    def load_journal(self) -> asyncio.Future[list[bytes]]:
        """Read the run's journal."""

    def add_entry(
        self,
        index: int,
        entry: bytes,
        cleanup: Cleanup | None = None,
        settling: Settling | None = None,
    ) -> asyncio.Future[int]:
        """Write entry *index*, the cleanup due from then on, and what it settles, in one write."""

    def offload(self, data: bytes, what: str) -> Coroutine[Any, Any, bytes]:
        """
        Have the store for large values take a packed value; gives what leads to it, packed.

        While the store is away it is tried again. *what* names the value. Raises ClaimLost.
        """

    def take_signal(self, index: int, head: bytes, names: Sequence[str]) -> asyncio.Future[Any]:
        """
        Take a signal and remember it as entry *index*, in one write.

        Answers [inbox, item], [inbox] when there is none, [] when refused.
        """

    def touch_var(
        self,
        index: int,
        head: bytes,
        session: str | None,
        verb: str,
        name: str,
        args: Sequence[bytes],
    ) -> asyncio.Future[list[bytes]]:
        """Read or change a variable and remember the answer as entry *index*, in one write."""

    def settle_question(
        self,
        index: int,
        head: bytes,
        digest: str,
        asked: bytes,
        prompt: bytes,
        lapsed: QuestionOutcome | None,
    ) -> asyncio.Future[Any]:
        """
        Look for the answer to a question and remember it as entry *index*, in one write.

        Lists the question the first time. With *lapsed* it is closed where there is no answer. What
        it asked is kept as *prompt*.
        """

    def close_questions(self, digests: Sequence[str], mark: QuestionOutcome) -> asyncio.Future[int]:
        """Take questions off the list that nobody waits for any more."""

    async def spawn_children(
        self, specs: Sequence[RunSpec], *, abandon: bool = False, group: ChildGroup | None = None
    ) -> bool:
        """
        Make children of the run; those that are there already stay as they are.

        False when *group*, the map they belong to, is settled already.
        """

    async def load_ends(self, names: Sequence[str]) -> tuple[int, list[bytes | None]]:
        """
        Read how much was ever put into the run's inbox, and how these children and maps ended.

        None for each that has not.
        """

    async def child_state(self, run_id: str) -> str | None:
        """Read the state of a child as it is now; None when its record is gone."""

    async def stop_children(self) -> None:
        """Ask the children that end with the run to end."""

    async def count_children(self) -> tuple[int, int]:
        """
        Read how much was ever put into the run's inbox, and how many of its children live.

        Only those count that end with the run.
        """

    async def settle_group(self, group: ChildGroup) -> bytes | None:
        """
        Settle a map whose time is up, unless it is settled already.

        Answers `succeeded|failed`, or None when the claim is another worker's now.
        """

    async def stop_group(self, group: ChildGroup) -> list[str]:
        """
        Ask those children of a settled map to end that have not.

        Answers their run ids; `load_ends` tells when they have.
        """


def runtime_of(step: Step[Any]) -> FlowRuntime:
    """
    Return the runtime behind *step*.

    `core.runner` declares the three members that every runner may use. A worker hands each step a
    runtime with all of the above, which `tests/kits/test_runtime.py` checks.
    """
    return cast("FlowRuntime", step.runtime)
