"""What operators and programs do with breakers."""

from __future__ import annotations

from stepflow.core.breakers.breaker import check_breaker_name
from stepflow.core.ids import page_of
from stepflow.core.outcomes import readable
from stepflow.engine.breakers.info import BreakerInfo, info_of
from stepflow.engine.env import Env
from stepflow.errors import BreakerNotFound
from stepflow.store.breakers.record import (
    BreakerRecord,
    breaker_names,
    count_failed,
    count_trials,
    count_waiting,
    load_breaker,
    set_breaker,
)
from stepflow.store.calls import batch, batch_of

#: characters of a note that are kept
_LONGEST_NOTE = 500
#: characters of the name of who opened it that are kept
_LONGEST_NAME = 100


async def get(name: str, env: Env) -> BreakerInfo:
    """Read a breaker; raises BreakerNotFound."""
    record = await load_breaker(env.keys, check_breaker_name(name))
    if record is None:
        raise BreakerNotFound(name)
    return await _told(record, env)


async def breakers(env: Env, *, limit: int, offset: int = 0) -> list[BreakerInfo]:
    """Read some breakers, by name; those that nobody used for a week are gone."""
    names = sorted(await breaker_names(env.keys, *page_of(limit, offset)))
    records = await batch_of([load_breaker(env.keys, each) for each in names])
    return [await _told(record, env) for record in records if record is not None]


async def _told(record: BreakerRecord, env: Env) -> BreakerInfo:
    waiting, failed, trials = await batch(
        count_waiting(env.keys, record.name), count_failed(env.keys, record.name),
        count_trials(env.keys, record.name),
    )  # fmt: skip
    now = env.clock.now()
    return info_of(record, now, waiting=waiting, failed=failed, trials=trials)


async def open_breaker(name: str, for_s: float | None, note: str, by: str, env: Env) -> BreakerInfo:
    """Have no call let through, for *for_s* seconds or until it is closed by hand."""
    until = None if for_s is None else env.clock.now() + for_s
    return await _set(name, "open", env, until=until, note=note, by=by)


async def close_breaker(name: str, by: str, env: Env) -> BreakerInfo:
    """Let calls through; those that wait come back by and by. Raises BreakerNotFound."""
    return await _set(name, "close", env, by=by)


async def reset_breaker(name: str, by: str, env: Env) -> BreakerInfo:
    """Close a breaker and have it count from 0. Raises BreakerNotFound."""
    return await _set(name, "reset", env, by=by)


async def _set(
    name: str, verb: str, env: Env, *, until: float | None = None, note: str = "", by: str
) -> BreakerInfo:
    call = set_breaker(
        env.keys, check_breaker_name(name), verb, until=until, by=readable(by)[:_LONGEST_NAME],
        note=readable(note)[:_LONGEST_NOTE], request=env.request_id(), given=env.clock.given,
        now=env.clock.now(),
    )  # fmt: skip
    if not await call:
        raise BreakerNotFound(name)
    return await get(name, env)
