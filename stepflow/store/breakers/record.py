"""Breakers as they are looked at, and what operators write into them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stepflow.store import scripts
from stepflow.store.breakers.permits import KEPT_S, breaker_keys, waking
from stepflow.store.calls import Call, command, load_hash
from stepflow.store.keys import Keys
from stepflow.store.run_hash import Fields, format_time


@dataclass(frozen=True, slots=True)
class BreakerRecord:
    """A breaker as kept; times are unix seconds, 0 for never."""

    name: str
    is_open: bool = False
    epoch: int = 0
    since: float = 0.0
    until: float = 0.0
    failures: int = 0
    error: str = ""
    by: str = ""
    note: str = ""
    #: what code says of it: failures, reset in seconds, trials
    rule: tuple[int, float, int] = (0, 0.0, 0)
    refused: int = 0
    opened: int = 0
    closed: int = 0


def breaker_names(keys: Keys, first: int, count: int) -> Call[list[str]]:
    """Read the names of some breakers, the one whose record expires last first."""
    return command(
        "ZRANGE", keys.breakers, first, first + count - 1, "REV",
        read=lambda reply: [item.decode("utf-8", "backslashreplace") for item in reply],
        misfit=list,
    )  # fmt: skip


def load_breaker(keys: Keys, name: str) -> Call[BreakerRecord | None]:
    """Read a breaker; None when there is none. What cannot be read takes its default."""
    call = load_hash(keys.breaker(name))
    return Call(
        call.script, call.parts,
        lambda reply: _read(name, row) if b"epoch" in (row := call.read(reply)) else None,
        resend=call.resend, misfit=lambda: None,
    )  # fmt: skip


def count_waiting(keys: Keys, name: str) -> Call[int]:
    """Count the runs that wait for a breaker."""
    return command("ZCARD", f"{keys.breaker(name)}:waiting", read=int, misfit=int)


def count_failed(keys: Keys, name: str) -> Call[int]:
    """Count the failures in a row of a breaker that is closed."""
    return command("SCARD", f"{keys.breaker(name)}:failed", read=int, misfit=int)


def count_trials(keys: Keys, name: str) -> Call[int]:
    """Count the trials of a breaker that are under way."""
    return command("HLEN", f"{keys.breaker(name)}:trials", read=int, misfit=int)


def set_breaker(
    keys: Keys,
    name: str,
    verb: str,
    *,
    until: float | None = None,
    by: str,
    note: str = "",
    request: str,
    given: str,
    now: float,
    count: int = 2,
) -> Call[bool]:
    """Have a breaker `open`, `close` or `reset`; False when there is none, which can be opened."""
    return scripts.SET_BREAKER.call(
        bool,
        keys={
            **breaker_keys(keys, name), "failed": f"{keys.breaker(name)}:failed", "due": keys.due,
            "breakers": keys.breakers,
        },
        args={
            **waking(keys, name, now), "given": given, "name": name, "verb": verb,
            "till": format_time(until), "by": by, "note": note, "request": request,
            "count": count, "ttl": KEPT_S,
        },
    )  # fmt: skip


def _read(name: str, row: dict[bytes, bytes]) -> BreakerRecord:
    fields = Fields(row)
    text, count, time = fields.text, fields.count, fields.time
    return BreakerRecord(
        name, text(b"state") == "open", epoch=count(b"epoch"), since=time(b"since"),
        until=time(b"until"), failures=count(b"failures"), error=text(b"error"), by=text(b"by"),
        note=text(b"note"), rule=_rule(text(b"rule")), refused=count(b"refused"),
        opened=count(b"opened"), closed=count(b"closed"),
    )  # fmt: skip


def _rule(written: str) -> tuple[int, float, int]:
    parts: list[Any] = written.split("|")
    try:
        failures, reset, trials = parts
        return int(failures), float(reset), int(trials)
    except ValueError:
        return (0, 0.0, 0)
