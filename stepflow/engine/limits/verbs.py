"""The verbs of limits: look at them, set what counts over the code, take it back."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from stepflow.core.ids import limit_member
from stepflow.core.limits.limit import MOST_IN_LINE, as_values, rate_text
from stepflow.core.limits.use import (
    check_key,
    check_limit_name,
    is_of_step,
    label_of,
    run_of_place,
    write_key,
)
from stepflow.core.limits.values import LimitValues, read_values
from stepflow.engine.env import Env
from stepflow.engine.limits.info import LimitHolder, LimitInfo
from stepflow.engine.limits.turns import call_lines, keys_of
from stepflow.errors import InvalidOption, LimitNotFound
from stepflow.store.calls import batch, batch_of
from stepflow.store.evidence.of_run import score_of
from stepflow.store.limits.asks import load_ask
from stepflow.store.limits.evidence import moment_of
from stepflow.store.limits.hash import forget_set, load_hash_of_limits, save_set, set_name
from stepflow.store.limits.lines import forget_rate, line_length, members_since, slot_count
from stepflow.times import as_datetime

log = logging.getLogger("stepflow.run")

#: holders of slots, heads of lines and keys that are named
NAMED = 20


async def limits(env: Env) -> list[LimitInfo]:
    """Describe all limits that code declares or an operator has set, by name."""
    said = await load_hash_of_limits(env.keys)
    names = _names(said)
    busy, rests = await _busy("", env), await _rests(names, env)
    set_of = _keys_set(said)
    return [_all_keys(name, said, busy, rests, set_of) for name in names]


async def limit(name: str, key: str | None, env: Env) -> LimitInfo:
    """Describe a limit, for one key if there is one; raises LimitNotFound, InvalidName."""
    check_limit_name(name)
    said = await load_hash_of_limits(env.keys)
    if name not in _names(said):
        raise LimitNotFound(name)
    if key is not None:
        return await _one_key(name, key, said, env)
    busy, rests = await _busy(name, env), await _rests([name], env)
    return _all_keys(name, said, busy, rests, _keys_set(said))


async def set_limit(name: str, key: str | None, fields: Mapping[str, Any], env: Env) -> LimitInfo:
    """
    Have bounds count instead of what the code says, for all keys or for one.

    It outlives deploys. Runs in line are looked at at once. Raises InvalidName, InvalidOption.
    """
    values = as_values(fields, check_limit_name(name))
    if key is not None:
        check_key(key)
    if values.says_nothing:
        msg = f"nothing is set of limit {name!r}: give it concurrency, rate, burst, max_line"
        raise InvalidOption(msg)
    said = await load_hash_of_limits(env.keys)
    before = read_values(said.get(set_name(name, key), ""))
    await save_set(env.keys, name, key, values.over(before))
    await call_lines(name, env)
    log.info("limit=%s is set: %s", label_of(name, key or ""), values.write())
    return await limit(name, key, env)


async def unset_limit(name: str, key: str | None, env: Env) -> bool:
    """
    Take back what an operator has set; False when nothing was.

    Raises InvalidName, and LimitNotFound for one that nobody knows.
    """
    was_set: int = await forget_set(env.keys, [set_name(check_limit_name(name), key)])
    if was_set:
        await call_lines(name, env)
        log.info("limit=%s says what the code says", label_of(name, key or ""))
        return True
    if name not in _names(await load_hash_of_limits(env.keys)):
        raise LimitNotFound(name)
    return False


async def reset_limit(name: str, key: str | None, env: Env) -> int:
    """
    Forget what has begun, and that it rests: of one key, or of all that have runs.

    Gives the number of keys. Those that wait go on. Raises InvalidName, and LimitNotFound for one
    that nobody knows and no run has to do with.
    """
    keys = env.keys
    check_limit_name(name)
    used = {*await keys_of(keys.lines, name), *await keys_of(keys.slots, name)}
    found = {*used, (name, "")} if key is None else {(name, check_key(key))}
    counts = await batch_of([forget_rate(keys, *each) for each in sorted(found)])
    if not used and not any(counts) and name not in _names(await load_hash_of_limits(keys)):
        raise LimitNotFound(name)
    await call_lines(name, env)
    return sum(1 for count in counts if count)


async def forget_limit(name: str, env: Env) -> bool:
    """Forget a limit that no code declares any more, and all that was set of it."""
    said = await load_hash_of_limits(env.keys)
    mine = [each for each in said if _name_in(each) == check_limit_name(name)]
    if not mine:
        return False
    await forget_set(env.keys, mine)
    await call_lines(name, env)
    return True


def _name_in(said: str) -> str:
    """Read the name of the limit that a field tells of; "" for a runner's."""
    return "" if said.startswith("@") else said.partition("=")[0].partition("[")[0]


def _names(said: Mapping[str, str]) -> list[str]:
    return sorted({name for each in said if (name := _name_in(each))})


def _keys_set(said: Mapping[str, str]) -> Mapping[str, list[str]]:
    """Give the keys with bounds of their own, by the names of their limits."""
    found = defaultdict[str, list[str]](list)
    for each in said:
        name, bracket, rest = each.partition("[")
        if bracket and _name_in(each):
            found[name].append(unquote(rest[:-2]))
    return found


@dataclass(slots=True)
class _Busy:
    """How many runs of a limit are at work and how many wait, and the keys that have any."""

    slots: int = 0
    waiting: int = 0
    keys: set[str] = field(default_factory=set)


async def _busy(name: str, env: Env) -> Mapping[str, _Busy]:
    """Count what is at work and what waits, by the names of limits; of one limit, or of all."""
    keys, found = env.keys, defaultdict[str, _Busy](_Busy)
    with_slots, with_line = await keys_of(keys.slots, name), await keys_of(keys.lines, name)
    at_work = await batch_of([slot_count(keys, *each) for each in with_slots])
    waiting = await batch_of([line_length(keys, *each) for each in with_line])
    for (limit_name, key), count in zip(with_slots, at_work, strict=True):
        found[limit_name].slots += count
        found[limit_name].keys.add(key)
    for (limit_name, key), count in zip(with_line, waiting, strict=True):
        found[limit_name].waiting += count
        found[limit_name].keys.add(key)
    return found


async def _rests(names: Sequence[str], env: Env) -> Mapping[str, float]:
    moments = await batch_of([moment_of(env.keys.of_limit("rest", name, "")) for name in names])
    return dict(zip(names, moments, strict=True))


def _all_keys(
    name: str,
    said: Mapping[str, str],
    busy: Mapping[str, _Busy],
    rests: Mapping[str, float],
    set_of: Mapping[str, Sequence[str]],
) -> LimitInfo:
    mine = busy.get(name, _Busy())
    return _info(
        name, None, said, mine.slots, mine.waiting, keys_set=sorted(set_of.get(name, ())),
        keys=sorted(mine.keys)[:NAMED], rests_until=as_datetime(rests[name]),
    )  # fmt: skip


async def _one_key(name: str, key: str, said: Mapping[str, str], env: Env) -> LimitInfo:
    keys, written = env.keys, write_key(key)
    holders, line = await batch(
        members_since(keys.of_limit("slots", name, written), NAMED),
        members_since(keys.of_limit("line", name, written), NAMED),
    )
    slots, waiting = await batch(slot_count(keys, name, key), line_length(keys, name, key))
    rest, all_rest, due_at = await batch(
        moment_of(keys.of_limit("rest", name, written)),
        moment_of(keys.of_limit("rest", name, "")),
        score_of(keys.due, limit_member(name, written)),
    )
    return _info(
        name, key, said, slots, waiting, keys_set=sorted(_keys_set(said).get(name, ())),
        holders=await _holders(holders, env), next=[run_of_place(each) for each, _ in line],
        rests_until=as_datetime(max(rest, all_rest)),
        next_at=as_datetime(due_at or 0.0),
    )  # fmt: skip


async def _holders(found: Sequence[tuple[str, float]], env: Env) -> list[LimitHolder]:
    """Name those who have slots, and the steps among them."""
    places = [place for place, _ in found if is_of_step(place)]
    asks = await batch_of([load_ask(env.keys, place) for place in places]) if places else []
    steps = {place: ask.name or None for place, ask in zip(places, asks, strict=True)}
    return [
        LimitHolder(run_of_place(place), as_datetime(since), steps.get(place))
        for place, since in found
    ]


def _info(
    name: str,
    key: str | None,
    said: Mapping[str, str],
    slots: int,
    waiting: int,
    *,
    keys_set: Sequence[str],
    **more: Any,
) -> LimitInfo:
    declared = read_values(said.get(name, ""))
    counts = read_values(said.get(set_name(name), "")).over(declared)
    if key is not None:
        counts = read_values(said.get(set_name(name, key), "")).over(counts)
    return LimitInfo(
        name, key,
        counts.concurrency if isinstance(counts.concurrency, int) else None,
        rate_text(counts.interval) if isinstance(counts.interval, float) else None,
        counts.burst, counts.scope or "claim", counts.max_line or MOST_IN_LINE,
        counts.max_wait if isinstance(counts.max_wait, float) else None,
        in_words(declared) if counts != declared else None,
        keys_set, slots, waiting, **more,
    )  # fmt: skip


def in_words(values: LimitValues) -> str:
    """Say what bounds say, as options have it."""
    if values.says_nothing:
        return "nothing"
    parts: Sequence[tuple[str, object]] = (
        ("concurrency", values.concurrency),
        ("rate", rate_text(values.interval) if isinstance(values.interval, float) else None),
        ("burst", values.burst),
    )
    return ", ".join(f"{name} {value}" for name, value in parts if value is not None)
