"""Calls by which a step gets a permit of a breaker, and gives it back."""

from __future__ import annotations

from typing import Any, NamedTuple

from stepflow.core.breakers.breaker import Breaker
from stepflow.core.breakers.permit import Permit, Verdict
from stepflow.core.ids import run_member
from stepflow.core.run import Run, RunState
from stepflow.store import scripts
from stepflow.store.calls import Call, Part
from stepflow.store.keys import Keys
from stepflow.store.run_hash import rq_time

#: seconds after its last use that a breaker's record is kept
KEPT_S = 7 * 86_400
#: seconds after the next trial, or its end, at which those that wait look for themselves, should
#: nobody have woken them; and how far apart they do
GRACE_S, GAP_S = 30.0, 0.1


class Refused(NamedTuple):
    """No permit now: when to ask again, and why. Times are unix seconds."""

    again_at: float
    #: how much was ever put into the run's inbox
    inbox: int
    #: when the next trial may begin; 0 for one that was opened by hand
    until: float
    failures: int
    error: str
    #: who has opened it by hand
    by: str


def waits_for(name: str) -> str:
    """Say in a run's record that it waits for a breaker."""
    return f"breaker {name}"


def rule_of(breaker: Breaker) -> str:
    """Write what code says of a breaker, as its record has it."""
    return f"{breaker.failures}|{breaker.reset_s:g}|{breaker.trials}"


def breaker_keys(keys: Keys, name: str) -> dict[str, str]:
    """Name the keys of a breaker."""
    base = keys.breaker(name)
    return {"breaker": base, "trials": f"{base}:trials", "waiting": f"{base}:waiting"}


def waking(keys: Keys, name: str, now: float) -> dict[str, Part]:
    """Give what a script needs to know to wake those that wait."""
    return {
        "ns": keys.namespace, "rq_time": rq_time(now), "pending": RunState.PENDING,
        "channels": keys.tell_channel(""), "waits_for": waits_for(name),
    }  # fmt: skip


def take_permit(
    keys: Keys, breaker: Breaker, run: Run, token: str, permit: str, *, given: str, waits: bool
) -> Call[Permit | Refused]:
    """Ask for *permit*; a refusal puts the run among those that wait, where it *waits*."""

    def read(reply: Any) -> Permit | Refused:
        if reply[0]:
            return Permit(permit, int(reply[1]), bool(reply[2]))
        again, inbox, until, failures, error, by = (part.decode() for part in reply[1:])
        return Refused(float(again), int(inbox), float(until or 0), int(failures or 0), error, by)

    return scripts.TAKE_PERMIT.call(
        read,
        keys={
            **breaker_keys(keys, breaker.name), "breakers": keys.breakers, "run": keys.run(run.id),
            "claims": keys.claims,
        },
        args={
            "given": given, "ns": keys.namespace, "name": breaker.name, "rule": rule_of(breaker),
            "limit": breaker.trials, "permit": permit, "member": run_member(run.id),
            "token": token, "waits": int(waits), "grace_s": GRACE_S, "gap_s": GAP_S, "ttl": KEPT_S,
        },
    )  # fmt: skip


def settle_permit(
    keys: Keys,
    breaker: Breaker,
    permit: Permit,
    verdict: Verdict,
    error: str,
    *,
    given: str,
    now: float,
) -> Call[str]:
    """
    Give a permit back: 'opened', 'closed', 'kept', or 'late' for one of an earlier epoch.

    A success sent twice could hide failures in between, so it is sent once: losing it does less.
    """
    return scripts.SETTLE_PERMIT.call(
        lambda reply: str(reply.decode()),
        keys={
            **breaker_keys(keys, breaker.name), "failed": f"{keys.breaker(breaker.name)}:failed",
            "due": keys.due,
        },
        args={
            **waking(keys, breaker.name, now), "given": given, "permit": permit.id,
            "epoch": permit.epoch, "is_trial": int(permit.is_trial), "verdict": verdict,
            "error": error, "most": breaker.failures, "limit": breaker.trials,
            "reset_s": breaker.reset_s, "ttl": KEPT_S,
        },
        resend=permit.is_trial or verdict is Verdict.FAILURE,
    )  # fmt: skip
