"""The indexes that a list of runs is merged from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from stepflow.core.run import ENDS, Run, RunState
from stepflow.engine.listing.filters import RunFilter
from stepflow.engine.tags import write_tags
from stepflow.store.indexes.old import old_ended_index, old_runner_index
from stepflow.store.keys import LIVE, Keys


class Kind(Enum):
    """What an index holds."""

    LIVE = "live runs, by when they were submitted"
    ENDED = "runs of one end, by when they ended"
    TAG = "all runs of a tag, each by one or the other"
    OLD = "what the version before wrote, by when it was submitted"


class Standing(Enum):
    """What a run's place in an index is worth, given its record."""

    GOOD = 1
    #: good unless the run stands in the index that its record names
    DOUBTFUL = 2
    BAD = 3


@dataclass(frozen=True, slots=True)
class Source:
    """One index, and the end of the runs in it where that is one."""

    index: str
    kind: Kind
    end: RunState | None = None

    def standing(self, run: Run, began_at: float) -> Standing:
        """
        Say what the place of *run* in this index is worth.

        The run may have moved since *began_at*, after the index was read. Else processes of the
        version before have moved it, which do not know this index.
        """
        match self.kind:
            case Kind.OLD:
                return Standing.DOUBTFUL
            case Kind.LIVE if run.is_finished and run.ended_at < began_at:
                return Standing.DOUBTFUL
            case Kind.ENDED if run.state is not self.end and run.updated_at < began_at:
                return Standing.BAD
        return Standing.GOOD


def sources_of(wanted: RunFilter, keys: Keys) -> list[Source]:
    """Name the indexes that together hold what is asked for."""
    name = wanted.where.value_of("state")
    state = wanted.state or (None if name is None else RunState(name))
    ends = ENDS if state is None else (state,) if state in ENDS else ()
    return sources(
        keys, has_live=ends != (state,), ends=ends, tags={**wanted.where.tags, **wanted.tags},
        runner=wanted.runner or wanted.where.value_of("runner"),
    )  # fmt: skip


def sources(
    keys: Keys,
    *,
    has_live: bool,
    ends: Sequence[RunState],
    runner: str | None,
    tags: Mapping[str, str],
) -> list[Source]:
    """
    Name the indexes of live runs, and of those *ends*, of one *runner* or of all.

    The index of a tag is all of them in one. First come those that a run leaves, so that one that
    moves while they are read stands in one of them at least.
    """
    if tags:
        [tag, *_] = write_tags(tags)
        return [Source(keys.tag_index(tag), Kind.TAG)]
    if runner is None:
        found = [Source(old_ended_index(keys, end), Kind.OLD) for end in ends]
        found += [Source(keys.live, Kind.LIVE)] if has_live else []
        return found + [Source(keys.ended_index(end), Kind.ENDED, end) for end in ends]
    found = [Source(old_runner_index(keys, runner), Kind.OLD)]
    found += [Source(keys.runner_index(LIVE, runner), Kind.LIVE)] if has_live else []
    return found + [Source(keys.runner_index(end, runner), Kind.ENDED, end) for end in ends]


def proper_index(run: Run, keys: Keys) -> str:
    """Name the index of its runner that a run stands in, by its record."""
    return keys.runner_index(run.state if run.is_finished else LIVE, run.runner)
