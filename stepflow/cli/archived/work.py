"""`stepflow archive work`: a process that archives, of its own or beside a worker."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from select import select
from typing import TYPE_CHECKING

from stepflow.archiver import FINISH, Place
from stepflow.cli.worker.json_lines import JsonLines
from stepflow.cli.worker.lines import log_to_stderr
from stepflow.engine.env import Env
from stepflow.store.connection.address import Address
from stepflow.store.keys import Keys
from stepflow.worker.archiving.carry import Carrier
from stepflow.worker.archiving.rounds import Archiver, archiver_of

if TYPE_CHECKING:
    from stepflow.cli.context import CliContext

#: how far an archiver beside a worker stands back behind the steps: as far as can be
NICE = 19
#: seconds between two looks whether the worker beside it is there
LOOK_S = 1.0
#: what tells one to leave that stands by itself
LEAVING = (signal.SIGINT, signal.SIGTERM)


def work(context: CliContext, *, burst: bool) -> None:
    """Archive until a signal says to leave."""
    log_to_stderr("info", JsonLines(None) if context.json else None)
    with context.client(starts=False) as client:
        client.archive.health()  # what is wrong with the URL is said at once
        settings = client.settings.archive
        carrier = Carrier(client.env, client.connection, settings)
        archiver = Archiver(carrier, settings, until_empty=burst)
        for number in LEAVING:
            signal.signal(number, lambda *_: archiver.leave())
        archiver.run()


def work_beside() -> None:
    """Archive until the worker that started this process has closed the pipe, or is gone."""
    for number in LEAVING:
        signal.signal(number, signal.SIG_IGN)  # a terminal's Ctrl-C is meant for the worker
    with suppress(OSError):
        os.nice(NICE)
    given = sys.stdin.fileno()
    place = Place.read(given)
    log_to_stderr(place.level, JsonLines(None) if place.is_json else None)
    env = Env(Keys(place.namespace), place.settings)
    address = Address.parse(place.url, place.settings.redis)
    archiver = archiver_of(address, env, place.settings.archive)
    told = (given, place.parent, archiver)
    threading.Thread(target=_leave_when_told, args=told, daemon=True).start()
    archiver.run()


def _leave_when_told(given: int, parent: int, archiver: Archiver) -> None:
    while os.getppid() == parent:
        if select([given], [], [], LOOK_S)[0]:
            if os.read(given, 1) == FINISH:
                archiver.finish()
                return
            break
    archiver.leave()
