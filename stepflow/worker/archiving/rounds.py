"""An archiver goes on as long as its process lives, whatever becomes of the database."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable

from stepflow.engine.env import Env
from stepflow.errors import StepflowError
from stepflow.settings import ArchiveSettings
from stepflow.store.connection.address import Address
from stepflow.store.connection.sync import SyncConnection
from stepflow.worker.archiving.carry import Carrier
from stepflow.worker.archiving.pace import Pace
from stepflow.worker.archiving.refused import AWAY

log = logging.getLogger("stepflow.archive")

#: seconds between two looks for ends while none wait
LOOK_S = 1.0
#: seconds until the first look whether the archive is back; each later one waits twice as long
FIRST_LOOK_S = 1.0
#: seconds that a worker which leaves gives its archiver for the batch under way
PATIENCE_S = 5.0
#: and one that is to archive what waits before it leaves
BURST_S = 60.0


def archiver_of(
    address: Address, env: Env, settings: ArchiveSettings, *, until_empty: bool = False
) -> Archiver:
    """Make what archives beside a worker, and stands back for steps, over its own connection."""
    env.stand_at(lambda: address)
    connection = SyncConnection.to(address)
    carrier, pace = Carrier(env, connection, settings), Pace(env, connection, settings)
    return Archiver(carrier, settings, pace, until_empty=until_empty, on_end=connection.close)


class Archiver:
    """
    Archives what waits, batch by batch, in a thread of its own, until it is told to leave.

    It stands back for steps as *pace* says. With *until_empty* it ends as soon as nothing waits any
    more, or the archive is away; *on_end* is called at its end.
    """

    def __init__(
        self,
        carrier: Carrier,
        settings: ArchiveSettings,
        pace: Pace | None = None,
        *,
        until_empty: bool = False,
        on_end: Callable[[], None] | None = None,
    ) -> None:
        self._carrier = carrier
        self._settings = settings
        self._until_empty = until_empty
        self._on_end = on_end
        self._is_away = False
        self._pace = pace
        self._leaving = threading.Event()
        #: set when it is not to stand back any more
        self._hurries = threading.Event()
        self._thread = threading.Thread(target=self.run, name="stepflow-archive", daemon=True)

    def start(self) -> None:
        """Begin, in a thread."""
        self._thread.start()

    def leave(self) -> None:
        """Take no further batch. May be called from any thread, and from a signal's handler."""
        self._leaving.set()
        self._hurries.set()

    def finish(self) -> None:
        """Have it leave as soon as nothing waits any more, or the archive is away."""
        self._until_empty = True
        self._hurries.set()
        if self._is_away:
            self.leave()

    def join(self) -> None:
        """
        Wait a moment for the batch under way; one that takes longer is repeated by others.

        One that is to finish is given longer.
        """
        self._thread.join(BURST_S if self._until_empty else PATIENCE_S)

    def run(self) -> None:
        """Archive until told to leave."""
        try:
            self._try(self._carrier.ping)  # what is wrong with the archive is said at once
            while not self._leaving.is_set():
                began = time.monotonic()
                if self._try(self._carrier.carry):
                    self._stand_back(time.monotonic() - began)
                elif self._until_empty:
                    return
                else:
                    self._leaving.wait(LOOK_S)
        finally:
            self._carrier.close()
            if self._on_end is not None:
                self._on_end()

    def _stand_back(self, took_s: float) -> None:
        """Leave the machine to the steps for a while after a batch that took *took_s*."""
        if self._pace is None or self._until_empty:
            return
        try:
            self._hurries.wait(self._pace.pause_s(took_s))
        except StepflowError as error:  # it is said with the next batch
            log.debug("the archiver cannot look whether steps run: %s", error)

    def _try(self, work: Callable[[], int | None]) -> bool:
        """Say whether there may be more to do at once; whatever is wrong is said, and passes."""
        try:
            return bool(work())
        except AWAY as error:
            self._is_away = True
            self._wait_for_it(error)
            self._is_away = False
            return True
        except StepflowError as error:
            log.error("ends cannot be archived for now: %s", error)
        except Exception:
            log.exception("ends cannot be archived for now")
        return False

    def _wait_for_it(self, problem: StepflowError) -> None:
        """Look again and again whether the archive is back."""
        said = str(problem).rstrip(".")
        log.error("%s; ends wait in Redis until it is back, steps go on", said)
        if self._until_empty:
            self.leave()
        wait_s = FIRST_LOOK_S
        while not self._leaving.wait(wait_s * (0.5 + random.random() / 2)):
            try:
                self._carrier.ping()
            except Exception as error:  # noqa: BLE001  whatever it is, it is not back
                log.debug("the archive is still away: %s", error)
            else:
                log.info("the archive answers again; the ends that waited are written")
                return
            wait_s = min(2 * wait_s, self._settings.retry_most_s)
