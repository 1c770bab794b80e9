"""The calls for variables of runs and sessions and for what effects wrote, and how values look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stepflow.errors import UnreadableValue
from stepflow.store import scripts
from stepflow.store.calls import Call, command, load_hash, raw
from stepflow.store.keys import Keys
from stepflow.store.values.codec import pack_alike, unpack

#: what Redis counts in: 64 bits
LEAST, MOST = -(2**63), 2**63 - 1
#: how a value begins that is no whole number of 64 bits
_PACKED = b"="


def write_var(value: Any, *, what: str, limit: int) -> bytes:
    """
    Write a value: a whole number as decimal text, which Redis can count up, anything else packed.

    None is nothing.
    """
    if value is None:
        return b""
    if _is_number(value):
        return b"%d" % value
    return _PACKED + pack_alike(value, what=what, limit=limit)[0]


def forms_of_var(value: Any, *, what: str, limit: int) -> list[bytes]:
    """Write a value in all forms in which an equal one may stand: older keys give others."""
    if value is None or _is_number(value):
        return [write_var(value, what=what, limit=limit)]
    return [_PACKED + form for form in pack_alike(value, what=what, limit=limit)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and LEAST <= value <= MOST


def read_var(written: bytes) -> Any:
    """
    Read a value back; None for nothing.

    Raises UnreadableValue for what `write_var` never wrote.
    """
    if written.startswith(_PACKED):
        return unpack(written[1:])
    try:
        return int(written) if written else None
    except ValueError:
        raise UnreadableValue(
            f"a variable holds {written[:60]!r}; something else must have written it"
        ) from None


def touch_var(
    keys: Keys,
    run_id: str,
    token: str,
    index: int,
    head: bytes,
    *,
    session: str | None,
    verb: str,
    name: str,
    args: Sequence[bytes],
    ttl_s: float,
) -> Call[list[bytes]]:
    """
    Do *verb* (get, set, incr, swap) to a variable and remember the answer as entry *index*.

    The variable is the run's, or one of *session*, which then lives *ttl_s*. Gives [answer], or []
    when the claim is not the caller's any more.
    """
    base = keys.run(run_id)
    variables, ttl = f"{base}:vars", ""
    if session is not None:
        variables, ttl = keys.session(session), str(max(1, int(ttl_s)))
    return scripts.TOUCH_VAR.call(
        raw,
        keys={"run": base, "journal": f"{base}:journal", "variables": variables},
        args={
            "token": token,
            "index": index,
            "head": head,
            "verb": verb,
            "name": name,
            "ttl_s": ttl,
        },
        lists={"operands": args},
    )


def load_vars(keys: Keys, run_id: str) -> Call[dict[bytes, bytes]]:
    """Read the variables of a run, as `write_var` wrote them."""
    return load_hash(f"{keys.run(run_id)}:vars")


def load_session_vars(keys: Keys, session: str) -> Call[dict[bytes, bytes]]:
    """Read the variables of a session, as `write_var` wrote them."""
    return load_hash(keys.session(session))


def load_all_kv(keys: Keys, run_id: str) -> Call[dict[bytes, bytes]]:
    """Read the run's own space, which effects write, each value packed."""
    return load_hash(f"{keys.run(run_id)}:kv")


def load_kv(keys: Keys, run_id: str, key: str) -> Call[bytes | None]:
    """Read one value of the run's own space, which effects write, packed."""
    return command("HGET", f"{keys.run(run_id)}:kv", key, read=raw)
