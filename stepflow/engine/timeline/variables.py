"""vars: the variables of a run or a session, read from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stepflow.core.ids import check_text
from stepflow.core.run import UnreadableText
from stepflow.engine.env import Env
from stepflow.errors import RunNotFound, StepflowError
from stepflow.store.calls import batch
from stepflow.store.runs import load_run
from stepflow.store.variables import load_session_vars, load_vars, read_var


async def variables(run_id: str, env: Env) -> dict[str, Any]:
    """Give the variables of a run by name; raises RunNotFound."""
    run, row = await batch(load_run(env.keys, run_id), load_vars(env.keys, run_id))
    if run is None:
        raise RunNotFound(run_id)
    return _read(row)


async def session_variables(session: str, env: Env) -> dict[str, Any]:
    """Give the variables of a session by name; none for one that nobody has written to."""
    check_text("the id of a session", session, without="|")
    return _read(await load_session_vars(env.keys, session))


def _read(row: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Read variables; one that cannot be read says so in words."""
    found: dict[str, Any] = {}
    for name, written in sorted(row.items()):
        try:
            value = read_var(written)
        except StepflowError as error:
            value = UnreadableText(f"<{error}>")
        found[name.decode("utf-8", "backslashreplace")] = value
    return found
