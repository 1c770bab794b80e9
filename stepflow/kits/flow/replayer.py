"""The replayer: checks a recorded history against today's code without executing anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NoReturn

from stepflow.core.backoff import RetryPolicy
from stepflow.core.cancel import CancelToken
from stepflow.core.journal import Entry, EntryKind
from stepflow.core.outcomes import Outcome, Pause, Raised
from stepflow.core.under_way import Attempts
from stepflow.engine.history import Remembered, ended_well, read_history
from stepflow.engine.registry import RegisteredRunner, Registry
from stepflow.errors import UnknownRunner, stands
from stepflow.kits.flow.workflow import Workflow
from stepflow.settings import MOST_BYTES


async def check_history(document: Mapping[str, Any], registry: Registry) -> str | None:
    """
    Replay an exported history against the workflows of *registry*.

    Returns None when it fits, else what differs, in lines. The workflow's version is the one that
    made the history. No step is executed: where the journal is used up the replay stops. A runner
    that is no workflow remembers nothing, so it fits.

    Raises UnreadableHistory for what is no history, and UnknownRunner.
    """
    remembered = read_history(document)
    key = remembered.run.runner_key
    entry = registry.runners.get(key)
    if entry is None:
        raise UnknownRunner(key, list(registry.runners))
    workflow = getattr(entry.run, "__self__", None)
    if not isinstance(workflow, Workflow):
        return None
    try:
        payload = remembered.payload if entry.read is None else entry.read(remembered.payload)
    except Exception as error:  # noqa: BLE001  a validator is user code as well
        return str(error)
    return _difference(remembered, await _replay(workflow, remembered, entry, payload))


async def _replay(
    workflow: Workflow, remembered: Remembered, entry: RegisteredRunner, payload: Any
) -> Outcome | None:
    """
    Activate the workflow up to where memory ends.

    Returns the end that this led to, or the misfit, if any.
    """
    remembered.run.has_journal = bool(remembered.journal)
    remembered.run.handoff = 1  # so that it logs nothing
    runtime = RecordedRuntime(remembered, entry.policy)
    try:
        return await workflow.activate(runtime, payload, remembered.headers)
    except _MemoryEndsError as end:
        return end.so_far


def _difference(remembered: Remembered, outcome: Outcome | None) -> str | None:
    match outcome:
        case Pause(reason=reason, diff=diff):
            return f"{reason}\n{diff}" if diff else reason
        case Raised(error) if ended_well(remembered.run):
            return (
                f"it {stands(remembered.run.state)}, "
                f"and would fail now with {error.type}: {error.message}"
            )
    return None


class _MemoryEndsError(BaseException):
    """Ends an activation that is not to go live."""

    def __init__(self, so_far: Outcome | None) -> None:
        super().__init__()
        self.so_far = so_far


class RecordedRuntime:
    """The runtime of a replay that has a recorded history and nothing else: it never goes live."""

    on_inbox: Callable[[], None] | None = None
    attempts: Attempts | None = None
    on_let_go: Callable[[], None] | None = None
    is_waiting = False
    #: nobody looks
    watch = property(lambda self: self)
    observers = None
    stop_grace_s = slice_s = 0.0
    runs_in_hand = 1
    #: the most bytes a value may be packed: whatever it was when that was remembered
    limit = output_limit = MOST_BYTES

    def __init__(self, recorded: Remembered, policy: RetryPolicy) -> None:
        self.run = recorded.run
        self.policy = policy
        self.cancel = CancelToken()
        self._journal = recorded.journal
        self._answers = recorded.answers

    def load_journal(self) -> asyncio.Future[list[bytes]]:
        """Return the recorded journal."""
        future: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
        future.set_result(list(self._journal))
        return future

    async def load_ends(self, names: Sequence[str]) -> tuple[int, list[bytes | None]]:
        """Return how the children of settled maps ended."""
        return 0, [self._answers.get(name) for name in names]

    def now(self) -> float:
        """Return the time of the last entry: what is reckoned from it is never waited for."""
        return Entry.read(self._journal[-1]).at if self._journal else self.run.created_at

    def attempt_counter(self) -> Callable[[EntryKind, float], None]:
        """Count nothing."""
        return lambda _kind, _took_s: None

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[Any]:
        """Limit a block by the loop's clock."""
        return asyncio.timeout(seconds)

    def go_live(self, so_far: Outcome | None) -> None:
        """End the activation: the recorded history is used up."""
        raise _MemoryEndsError(so_far)

    def _refuse(self, *args: object, **options: object) -> NoReturn:
        """Refuse what only a live activation may ask for."""
        del args, options
        raise AssertionError("a replay of a recorded history asked for what only a worker can do")

    permits = shared = limits = budgets = property(_refuse)
    family = ""
    is_slot_wanted = spread = call = add_entry = _refuse
    output_scope = emit_entry = _refuse
    take_signal = touch_var = settle_question = close_questions = _refuse
    spawn_children = stop_children = count_children = stop_group = settle_group = _refuse
    child_state = offload = _refuse
