"""Which runs a bulk concerns: the states that its verb takes, and the conditions it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stepflow.core.run import ENDS, RunState, RunStatus
from stepflow.engine.env import Env
from stepflow.engine.listing.sources import sources
from stepflow.engine.status import status_of
from stepflow.engine.steering.where import Where
from stepflow.errors import InvalidOption, shown
from stepflow.store.calls import batch_of
from stepflow.store.runs import load_data, load_run

_LIVE = frozenset(
    {RunState.SCHEDULED, RunState.PENDING, RunState.RUNNING, RunState.WAITING, RunState.PAUSED}
)
#: the verbs, and the states of the runs that each can be done to
VERBS: Mapping[str, frozenset[RunState]] = {
    "cancel": _LIVE,
    "retry": frozenset({RunState.FAILED}),
    "delete": frozenset(ENDS),
    "resume": frozenset({RunState.PAUSED}),
    "pause": _LIVE - {RunState.PAUSED},
    "signal": _LIVE,
}
#: index members looked at in one go
PAGE = 200


def check_verb(verb: str) -> str:
    """Give *verb* back; raises InvalidOption for one that is none."""
    if not isinstance(verb, str) or verb not in VERBS:
        raise InvalidOption(
            f"{shown(verb)} is not a verb for a bulk; the verbs are {', '.join(VERBS)}"
        )
    return verb


def indexes_of(verb: str, where: Where, env: Env) -> list[str]:
    """Name the indexes that together hold all that fits, those first that a run leaves."""
    state = where.value_of("state")
    wanted = [each for each in RunState if each in VERBS[verb] and state in (None, each.value)]
    ends = [each for each in wanted if each in ENDS]
    found = sources(
        env.keys, has_live=len(wanted) > len(ends), ends=ends, runner=where.value_of("runner"),
        tags=where.tags,
    )  # fmt: skip
    return [source.index for source in found]


async def those_fitting(
    verb: str, where: Where, members: Sequence[tuple[str, float]], before: float, env: Env
) -> list[tuple[str, float]]:
    """Give those of some members of an index that fit, and were made or ended before a time."""
    earliest = where.since or 0.0
    near = [(run_id, at) for run_id, at in members if earliest <= at <= before]
    runs = await batch_of([load_run(env.keys, run_id) for run_id, _ in near])
    rows = (
        await batch_of([load_data(env.keys, run_id) for run_id, _ in near])
        if where.needs_data
        else [{} for _ in near]
    )
    return [
        member
        for member, run, data in zip(near, runs, rows, strict=True)
        if run is not None and fits(verb, where, status_of(run, data), before)
    ]


def fits(verb: str, where: Where, run: RunStatus, before: float) -> bool:
    """Whether a run fits that stands where it did before the bulk, so that it is moved once."""
    since = [run.created_at]
    if verb in ("retry", "delete"):
        since.append(run.ended_at)
    elif verb == "resume":
        since.append(run.updated_at)
    is_older = all(moment is None or moment.timestamp() <= before for moment in since)
    return is_older and run.state in VERBS[verb] and where.holds_for(run)
