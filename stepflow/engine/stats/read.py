"""stats: what was counted in the last minutes and hours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from stepflow.core.counts import Counted, quantile_s
from stepflow.engine.env import Env
from stepflow.engine.stats.model import FailureGroup, RunnerStats, Stats, StatsPeriod
from stepflow.engine.stats.one_moment import read_at_one_moment
from stepflow.engine.stats.tally import Tally, Written
from stepflow.errors import InvalidOption, shown
from stepflow.store.counting.counts import HOUR_S, HOURS_KEPT_S, MINUTE_S, MINUTES_KEPT_S
from stepflow.store.query import server_time

#: how many are shown if nobody says otherwise, and how many are kept
MINUTES, MOST_MINUTES = 60, MINUTES_KEPT_S // MINUTE_S
HOURS, MOST_HOURS = 24, HOURS_KEPT_S // HOUR_S


async def stats(env: Env, *, minutes: int = MINUTES, hours: int = HOURS) -> Stats:
    """Read the counts of so many minutes and hours, up to the present ones."""
    _check("minutes", minutes, MOST_MINUTES)
    _check("hours", hours, MOST_HOURS)
    now = float(env.clock.given or await server_time())
    minute_times, hour_times = _times(now, minutes, MINUTE_S), _times(now, hours, HOUR_S)
    keys = [*map(env.keys.minute, minute_times), *map(env.keys.hour, hour_times)]
    found, _, new = await read_at_one_moment(keys, env)
    by_minute = _tallies(minute_times, found[:minutes], new)
    by_hour = _tallies(hour_times, found[minutes:], new)
    whole = Tally([*found[minutes:], new])
    return Stats(
        at=_moment(now),
        minutes=[_period(at, tally) for at, tally in by_minute],
        hours=[_period(at, tally) for at, tally in by_hour],
        runners=_runners(whole),
        failing=_failing(by_minute, by_hour),
    )


def _check(name: str, number: int, most: int) -> None:
    if not isinstance(number, int) or not 1 <= number <= most:
        msg = f"{name} must be from 1 to {most}, not {shown(number)}"
        raise InvalidOption(msg)


def _times(now: float, count: int, length_s: int) -> list[float]:
    """Give when the last *count* periods began, the oldest first."""
    last = now - now % length_s
    return [last - length_s * back for back in reversed(range(count))]


#: the periods of a kind with when they began, the oldest first
Periods = Sequence[tuple[float, Tally]]


def _tallies(times: Sequence[float], found: Sequence[Written], new: Written) -> Periods:
    """Take the counts apart; those that no worker has come by to take in are of the present."""
    tallies = [Tally([written]) for written in found]
    tallies[-1].add(new)
    return list(zip(times, tallies, strict=True))


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _period(at: float, tally: Tally) -> StatsPeriod:
    return StatsPeriod(
        _moment(at),
        submitted=tally.total(Counted.SUBMITTED),
        ended=tally.labels(Counted.ENDED),
        steps=tally.labels(Counted.STEPS),
    )


def _runners(tally: Tally) -> list[RunnerStats]:
    names = tally.owners(Counted.SUBMITTED, Counted.ENDED, Counted.STEPS)
    return [_runner(name, tally) for name in names]


def _runner(name: str, tally: Tally) -> RunnerStats:
    buckets = tally.buckets(Counted.TOOK, name)
    attempts = sum(buckets.values())
    took_us = tally.total(Counted.TOOK_SUM, name)
    return RunnerStats(
        name,
        submitted=tally.total(Counted.SUBMITTED, name),
        ended=tally.labels(Counted.ENDED, name),
        steps=tally.labels(Counted.STEPS, name),
        mean_s=took_us / 1e6 / attempts if attempts else None,
        p50_s=quantile_s(buckets, 0.5),
        p95_s=quantile_s(buckets, 0.95),
    )


def _failing(by_minute: Periods, by_hour: Periods) -> list[FailureGroup]:
    """Group the runs that failed by runner and type of error, the most recent groups first."""
    recent, counts = _added_up(by_minute), _added_up(by_hour)
    first_hour, first_minute = _seen(by_hour, min), _seen(by_minute, min)
    last = {**_seen(by_hour, max), **_seen(by_minute, max)}
    begin = by_minute[0][0]

    def since(key: tuple[str, str]) -> float:
        hour, minute = first_hour.get(key, begin), first_minute.get(key)
        # an hour that began before the first minute may have had some before it
        is_told = minute is not None and minute - minute % HOUR_S <= hour and begin <= hour
        return minute if minute is not None and is_told else hour

    found = [
        FailureGroup(
            *key, recent=recent.get(key, 0), count=counts.get(key, recent.get(key, 0)),
            since=_moment(since(key)), last_at=_moment(at),
        )
        for key, at in last.items()
    ]  # fmt: skip
    return sorted(found, key=lambda group: (group.last_at, group.recent), reverse=True)


def _added_up(periods: Periods) -> dict[tuple[str, str], int]:
    sums: dict[tuple[str, str], int] = {}
    for _, tally in periods:
        for key, number in _failures(tally):
            sums[key] = sums.get(key, 0) + number
    return sums


def _failures(tally: Tally) -> Iterator[tuple[tuple[str, str], int]]:
    for runner, errors in tally.of_kind(Counted.FAILING).items():
        for error, number in errors.items():
            yield (runner, error), number


def _seen(
    periods: Periods, choose: Callable[[float, float], float]
) -> dict[tuple[str, str], float]:
    """Give the first or the last period in which each group of failures was counted."""
    seen: dict[tuple[str, str], float] = {}
    for at, tally in periods:
        for key, _ in _failures(tally):
            seen[key] = choose(at, seen.get(key, at))
    return seen
