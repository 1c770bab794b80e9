"""What waits in the lanes of fair queues, and how much weight each of them has."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

from stepflow.core.ids import check_queue
from stepflow.core.run import PRIORITIES, priority_name
from stepflow.engine.env import Env
from stepflow.engine.lanes.name import check_lane
from stepflow.errors import InvalidOption, shown
from stepflow.store.calls import batch_of
from stepflow.store.query import members, server_time
from stepflow.store.steering.lanes import (
    LaneHead,
    lane_since,
    lane_size,
    load_fair,
    load_lanes,
    save_fair,
)

log = logging.getLogger("stepflow.run")

#: lanes in one round trip
_PAGE = 1000
#: a lane with the largest weight gets so many turns for each of one with the weight 1
MOST_WEIGHT = 1000.0
#: entries that the RQ list of a fair queue may have at most
MOST_WINDOW = 10_000


@dataclass(frozen=True, slots=True)
class LaneInfo:
    """
    One lane of a fair queue, at one priority.

    *waiting* counts the runs in it, *oldest_s* is how long the first of them has waited.
    """

    queue: str
    priority: str
    lane: str
    waiting: int
    oldest_s: float | None
    weight: float = 1.0


async def lanes(queue: str, env: Env, *, most: int | None = None) -> list[LaneInfo]:
    """
    Give the lanes of a queue that have waiting runs, by priority and in the order of their turns.

    At most *most* of each priority. Raises InvalidName.
    """
    keys, now = env.keys, await server_time()
    laned, fair = set(await members(keys.laned)), await load_fair(keys)
    found = list[LaneInfo]()
    for priority in range(PRIORITIES):
        rq_queue = keys.rq_queue(check_queue(queue), priority)
        if rq_queue not in laned:
            continue
        for name, head in (await heads(rq_queue, env, most=most)).items():
            weight = _number(fair.get(f"{keys.queue_name(queue)}|{name}".encode(), b""))
            since = head.since
            found.append(
                LaneInfo(
                    queue, priority_name(priority), name, head.waiting,
                    None if since is None else max(0.0, now - since), weight or 1.0,
                )
            )  # fmt: skip
    return found


async def heads(rq_queue: str, env: Env, *, most: int | None = None) -> dict[str, LaneHead]:
    """Say what waits in each lane of an RQ queue, in the order of their turns; none is empty."""
    keys, found = env.keys, dict[str, LaneHead]()
    page = min(_PAGE, most or _PAGE)
    for start in range(0, most or 1_000_000, page):
        names = await load_lanes(keys, rq_queue, start, page)
        sizes = await batch_of([lane_size(keys, rq_queue, name) for name in names])
        since = await batch_of([lane_since(keys, rq_queue, name) for name in names])
        rows = zip(names, sizes, since, strict=True)
        found |= {name: LaneHead(size, at) for name, size, at in rows if size}
        if len(names) < page:
            break
    return found


def _number(written: bytes) -> float:
    try:
        return float(written)
    except ValueError:
        return 0.0


async def set_weight(queue: str, lane: str, weight: float | None, env: Env) -> None:
    """
    Have a lane take *weight* turns for each turn of one with the weight 1, from its next turn on.

    None takes that back. Raises InvalidName and InvalidOption.
    """
    name = f"{env.keys.queue_name(check_queue(queue))}|{check_lane(lane)}"
    if weight is not None and not (
        isinstance(weight, int | float) and math.isfinite(weight) and 0 < weight <= MOST_WEIGHT
    ):
        msg = f"weight {shown(weight)} is not above 0 and at most {MOST_WEIGHT:g}"
        raise InvalidOption(msg)
    await save_fair(env.keys, name, None if weight is None else f"{weight:g}")
    log.info("queue=%s lane=%s has weight %s", queue, lane, "1 again" if weight is None else weight)


async def set_window(queue: str, size: int | None, env: Env) -> None:
    """
    Have the RQ list of a fair queue hold *size* runs; the others wait in their lanes.

    Stock RQ workers see only those in the list. None takes that back. Raises InvalidName and
    InvalidOption.
    """
    name = env.keys.queue_name(check_queue(queue))
    if size is not None and not (isinstance(size, int) and 0 < size <= MOST_WINDOW):
        msg = f"window {shown(size)} is not 1 to {MOST_WINDOW:,} runs"
        raise InvalidOption(msg)
    await save_fair(env.keys, name, None if size is None else str(size))
    log.info("queue=%s has a window of %s", queue, size or "the usual size")
