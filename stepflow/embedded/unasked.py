"""When no URL is set and nobody asked for a server: who may start one, and who is told."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Literal

from stepflow.embedded.server import Server, ensure, locate, status
from stepflow.errors import NoServer

log = logging.getLogger("stepflow.embedded")


def start_or_join(
    home: Path | None,
    wanted: bool | None,  # noqa: FBT001  a setting
    *,
    appendfsync: Literal["always", "everysec"] = "everysec",
) -> Server:
    """
    Join the server of *home*, or start it; a start that nobody asked for is a warning in the log.

    *wanted* is STEPFLOW_EMBEDDED: False refuses with NoServer, True asks for it, and so does a
    terminal. *appendfsync* is as of `ensure`.
    """
    if wanted is False:
        raise NoServer(locate(home), is_off=True)
    server = ensure(home, appendfsync=appendfsync)
    if server.started and not (wanted or is_interactive()):
        log.warning(
            "STEPFLOW_REDIS_URL is not set: started %s, a server for development, with its data in "
            "%s. In production set STEPFLOW_REDIS_URL; STEPFLOW_EMBEDDED=1 asks for this server, "
            "STEPFLOW_EMBEDDED=0 forbids it",
            server.name,
            server.home,
        )
    return server


def join(home: Path | None, wanted: bool | None) -> Server:  # noqa: FBT001  a setting
    """Join the server of *home*; raises NoServer when none runs."""
    if wanted is False or status(home) is None:
        raise NoServer(locate(home), is_off=wanted is False)
    return ensure(home)


def is_interactive() -> bool:
    """Whether somebody sits at a terminal, who sees what starts."""
    return any(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))
