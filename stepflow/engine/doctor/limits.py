"""What limits keep and nobody has any more: slots, heads of lines, and rates far ahead of time."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from stepflow.core.limits.use import is_of_step, label_of, run_of_place, write_key
from stepflow.engine.env import Env
from stepflow.engine.limits.turns import keys_of
from stepflow.store.calls import batch_of
from stepflow.store.limits.asks import load_ask
from stepflow.store.limits.evidence import moment_of, record_of_holder
from stepflow.store.limits.hash import load_values
from stepflow.store.limits.lines import call_line, forget_rate, members_since, mend_slots

log = logging.getLogger("stepflow.doctor")

#: members of one set of slots that are looked at, and keys of all limits
_SLOTS = 1000
#: seconds that a rate may be ahead of its burst: a run of many units
_AHEAD_S = 86_400.0

SLOT, HEAD, RATE = "X12", "X13", "X14"
SENTENCES = {
    SLOT: "it has a slot of the limit, and no worker has it",
    HEAD: "it is the first in line, and does not wait there",
    RATE: "nothing of it may begin for more than a day: its rate is ahead of its burst",
}


@dataclass(frozen=True, slots=True)
class OddLimit:
    """Something that a limit keeps for a *key*: its code, and the run concerned, if any."""

    code: str
    name: str
    key: str
    run_id: str = ""

    @property
    def where(self) -> str:
        """What it is about."""
        return f"{self.run_id} {label_of(self.name, self.key)}".strip()


async def odd_limits(env: Env) -> list[OddLimit]:
    """Give what limits keep that nobody has; nothing, and two commands, where there are none."""
    keys = env.keys
    with_slots, with_line = await keys_of(keys.slots, ""), await keys_of(keys.lines, "")
    found: list[OddLimit] = []
    for name, key in with_slots:
        values = await load_values(keys, name, key)
        slots = keys.of_limit("slots", name, write_key(key))
        [holders] = await batch_of([members_since(slots, _SLOTS)])
        run_ids = [run_id for run_id, _ in holders]
        rows = await batch_of([record_of_holder(keys, run_of_place(each)) for each in run_ids])
        asks = await batch_of([load_ask(keys, each) for each in run_ids if is_of_step(each)])
        of_step = dict(zip(filter(is_of_step, run_ids), asks, strict=True))
        for run_id, (state, token, ended, _) in zip(run_ids, rows, strict=True):
            ask = of_step.get(run_id)
            has_none = not token and values.scope != "run" if ask is None else ask.token != token
            if not state or ended or has_none:
                found.append(OddLimit(SLOT, name, key, run_id))
    for name, key in with_line:
        [heads] = await batch_of([members_since(keys.of_limit("line", name, write_key(key)), 1)])
        for run_id, _ in heads:
            if not await _waits_in(run_id, name, key, env):
                found.append(OddLimit(HEAD, name, key, run_id))
    for name, key in sorted({*with_slots, *with_line}):
        values = await load_values(keys, name, key)
        tat = await moment_of(keys.of_limit("tat", name, write_key(key)))
        ahead = (values.burst or 1) * (values.interval if isinstance(values.interval, float) else 0)
        if tat > env.clock.now() + ahead + _AHEAD_S:
            found.append(OddLimit(RATE, name, key))
    return found


async def _waits_in(place: str, name: str, key: str, env: Env) -> bool:
    """Say whether the run or step at the head of a line waits there."""
    if is_of_step(place):
        ask = await load_ask(env.keys, place)
        return ask.held is not None and ask.held[:2] == (name, key)
    [(_, _, _, held)] = await batch_of([record_of_holder(env.keys, place)])
    return held.startswith(f"{name}|{write_key(key)}|")


async def mend_limit(odd: OddLimit, env: Env) -> bool:
    """Put right what a limit keeps; False when it was put right meanwhile."""
    given, now = env.clock.given, env.clock.now()
    match odd.code:
        case "X12":
            is_mended = odd.run_id in await mend_slots(
                env.keys, odd.name, odd.key, given=given, now=now, most=_SLOTS
            )
        case "X13":
            await call_line(env.keys, odd.name, odd.key, given=given, now=now)
            is_mended = True
        case _:
            is_mended = await forget_rate(env.keys, odd.name, odd.key) > 0
            await call_line(env.keys, odd.name, odd.key, given=given, now=now)
    if is_mended:
        log.warning("%s mended (%s): %s", odd.where, odd.code, SENTENCES[odd.code])
    return is_mended
