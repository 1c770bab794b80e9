"""Who did what: one line for each thing that somebody outside asks for, on `stepflow.audit`."""

from __future__ import annotations

import getpass
import logging
import os
import socket
from functools import cache
from typing import TypeVar

from stepflow.core.outcomes import readable
from stepflow.store.calls import Plan

T = TypeVar("T")

log = logging.getLogger("stepflow.audit")

#: characters of a name that are kept
_LONGEST = 200


@cache
def this_user() -> str:
    """Name who runs this process, as user@host."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user often has no name
        user = f"uid-{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def name_of(by: str | None) -> str:
    """Give the name that a verb is written down under: *by*, or who runs this process."""
    return this_user() if by is None else readable(by)[:_LONGEST]


def note(verb: str, target: str, by: str, detail: object = "") -> None:
    """Log that *by* asked for *verb*, of the run, hook or queue *target*."""
    log.info("by=%s %s %s%s", by, verb, target, f": {detail}" if detail else "")


async def noted(
    plan: Plan[T],
    verb: str,
    target: str,
    by: str | None,
    detail: object = "",
    *,
    is_always: bool = False,
) -> T:
    """
    Carry out *plan*, and log it once it is done: *by* is who asked, else this process.

    A plan that gives False has changed nothing and is not logged, unless *is_always*.
    """
    done = await plan
    if is_always or done is not False:
        note(verb, target, name_of(by or None), detail)
    return done
