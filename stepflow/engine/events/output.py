"""Reading an output stream: one look after the other, each beginning where the last one ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from stepflow.core.output import (
    TOPIC,
    OutputEnd,
    OutputEvent,
    OutputGap,
    OutputItem,
    OutputReset,
    check_position,
    check_topics,
)
from stepflow.core.run import UnreadableText
from stepflow.engine.env import Env
from stepflow.engine.events.commits import Commits
from stepflow.errors import RunNotFound, StepflowError
from stepflow.store.calls import batch
from stepflow.store.events.output import (
    OutputState,
    StreamEntry,
    load_gone,
    load_newest_output,
    load_output,
    load_output_state,
)
from stepflow.store.values.codec import unpack

#: items read in one look
PAGE = 200
#: seconds between two looks, should a notification be lost, and while items wait to be committed
SAFETY_NET_S, COMMIT_S = 1.0, 0.1
#: looks at a stream whose oldest items go right now, before what has gone meanwhile is given up
_TRIES = 4


class OutputReader:
    """
    Where one reader of one run's output is.

    *after* is the id of the last event it knows, `latest` for what comes from now on, None for the
    beginning. *topics* are those it wants, None for all. With *committed* it gets items only once
    their scope is committed, in the order of the stream, and no resets.
    """

    def __init__(
        self,
        run_id: str,
        env: Env,
        *,
        after: str | None = None,
        topics: str | Sequence[str] | None = None,
        committed: bool = False,
    ) -> None:
        self.run_id = run_id
        self._env = env
        self._is_new = after == "latest"
        position = check_position(after)
        self._position = None if self._is_new else position
        self._topics = check_topics(topics)
        self._commits = Commits(run_id, env) if committed else None
        #: what waits for its commit
        self._held: deque[OutputEvent] = deque()
        #: whether there is more to read at once
        self.has_more = False
        #: whether the run has ended and all was read
        self.is_over = False

    @property
    def wait_s(self) -> float:
        """Seconds until the next look, should nobody be notified before."""
        return COMMIT_S if self._held else SAFETY_NET_S

    @property
    def channels(self) -> tuple[str, str]:
        """The channels on which is said that there is more to read."""
        keys = self._env.keys
        return keys.output_channel(self.run_id), keys.done_channel(self.run_id)

    async def look(self) -> list[OutputEvent]:
        """Read what has come; raises RunNotFound."""
        if self._is_new:
            newest = await load_newest_output(self._env.keys, self.run_id)
            self._position = newest[0].id if newest else None
            self._is_new = False
        if self._commits is not None:
            # first, then the stream: all that led to a commit is in it, with the resets before
            await self._commits.look(self._scopes_held())
        state, entries = await self._load()
        if not state.state:
            raise RunNotFound(self.run_id)
        events: list[OutputEvent] = list(self._read(state, entries))
        self.has_more = len(entries) == PAGE
        self.is_over = state.has_ended and not self.has_more
        if self._commits is not None:
            self._hold(events)
            if self.is_over:
                await self._commits.look(self._scopes_held())
            is_new = bool(events) and not self.is_over
            events = [] if self.has_more else self._release(self._commits)
            # whether what is new is committed shows in the next look, which reads the commits first
            self.has_more = self.has_more or is_new
        if self.is_over:
            events.append(OutputEnd(self._position, state.state))
        return events

    async def _load(self) -> tuple[OutputState, list[StreamEntry]]:
        """Read a page; items that go while it is read are not passed over in silence."""
        keys, run_id = self._env.keys, self.run_id
        first = "-" if self._position is None else id_after(self._position)
        for _ in range(_TRIES):
            state, entries, gone = await batch(
                load_output_state(keys, run_id),
                load_output(keys, run_id, first, PAGE),
                load_gone(keys, run_id),
            )
            if gone == state.gone:
                break
        else:
            state = state._replace(gone=gone)
            entries = [entry for entry in entries if _order(entry.id) > _order(gone)]
        return state, entries

    def _read(self, state: OutputState, entries: Sequence[StreamEntry]) -> Iterator[OutputEvent]:
        before = self._position
        if state.gone and (before is None or _order(before) < _order(state.gone)):
            self._position = state.gone
            yield OutputGap(state.gone, before)
        elif before is None and not entries and state.has_output and state.has_ended:
            yield OutputGap(None)
        for entry in entries:
            self._position = entry.id
            event = event_of(entry)
            if (
                isinstance(event, OutputReset)
                or self._topics is None
                or event.topic in self._topics
            ):
                yield event

    def _hold(self, events: Sequence[OutputEvent]) -> None:
        """Keep what has been read, and drop what is void by now."""
        for event in events:
            if isinstance(event, OutputReset):
                self._held = deque(
                    held
                    for held in self._held
                    if not isinstance(held, OutputItem) or held.scope != event.scope
                )
            else:
                self._held.append(event)

    def _scopes_held(self) -> set[str]:
        return {item.scope for item in self._held if isinstance(item, OutputItem) and item.scope}

    def _release(self, commits: Commits) -> list[OutputEvent]:
        """Give what is committed, up to the first that is not; at the end the rest is dropped."""
        given: list[OutputEvent] = []
        while self._held:
            front = self._held[0]
            counts = not isinstance(front, OutputItem) or commits.have(front.scope)
            if not counts and not self.is_over:
                break
            self._held.popleft()
            if counts:
                given.append(front)
        return given


def event_of(entry: StreamEntry) -> OutputItem | OutputReset:
    """Read an item of a stream; data that cannot be read says so in words."""
    fields = entry.fields
    scope, attempt = fields.get(b"s", b"").decode("utf-8", "replace"), fields.get(b"a", b"")
    if b"d" not in fields:
        return OutputReset(entry.id, scope, int(attempt) if attempt.isdigit() else None)
    try:
        data = unpack(fields[b"d"])
    except StepflowError as error:
        data = UnreadableText(f"unreadable: {error}")
    topic = fields.get(b"t", TOPIC.encode()).decode("utf-8", "replace")
    return OutputItem(
        entry.id, data, topic, scope or None, int(attempt) if attempt.isdigit() else 1
    )


def _order(entry_id: str) -> tuple[int, int]:
    first, _, second = entry_id.partition("-")
    return int(first), int(second or 0)


def id_after(entry_id: str) -> str:
    """Name the first id that can come after another one."""
    first, second = _order(entry_id)
    return f"{first}-{second + 1}"
