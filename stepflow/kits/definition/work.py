"""A step of a kind of work, where it is done: here, or on the worker of another queue."""

from __future__ import annotations

import asyncio
from typing import Any

from stepflow.errors import PermanentError
from stepflow.kits.definition.kinds.base import Work, read_input
from stepflow.kits.definition.known import Known
from stepflow.kits.definition.values.secrets import Hiding, read_variables
from stepflow.kits.definition.values.templates import Filled, close
from stepflow.store.clock import told
from stepflow.store.values.codec import pack, unpack


async def work_of(known: Known, kind: str, filled: Filled, timeout_s: float | None = None) -> Any:
    """
    Do the work of *kind* with its input, to which the environment is added here.

    What it gives or raises has none of the environment's values in it. *timeout_s* limits it.
    """
    work = known.kinds.get(kind)
    if not isinstance(work, Work):
        msg = f"this worker has no kind of work that is called {kind!r}"
        raise PermanentError(msg)
    names = {part[0] for _, parts in filled.holes for part in parts if isinstance(part, list)}
    if not names:
        async with told(asyncio.timeout(timeout_s), timeout_s):
            return await work.do(read_input(work, filled.value), known)
    variables = read_variables(sorted(names), known.env)
    hiding = Hiding(variables)
    try:
        async with told(asyncio.timeout(timeout_s), timeout_s):
            value = await work.do(read_input(work, close(filled, variables)), known)
        return hiding.value(unpack(pack(value, in_clear=True)))
    except Exception as error:  # noqa: BLE001  raised again, in other words
        hidden = hiding.error(error)
    raise hidden  # out of reach of the one that it stands for
