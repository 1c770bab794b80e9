"""How an archiver beside a worker stands back: while steps run, it takes a share of its time."""

from __future__ import annotations

from stepflow.engine.env import Env
from stepflow.settings import ArchiveSettings
from stepflow.store.connection.sync import SyncCaller
from stepflow.store.runs.to_archive import count_claimed, oldest_end


class Pace:
    """
    Says how long to leave off after a batch.

    A low priority does not keep an archiver out of the way of steps: Redis serves both alike.
    """

    def __init__(self, env: Env, connection: SyncCaller, settings: ArchiveSettings) -> None:
        self._env = env
        self._connection = connection
        self._settings = settings

    def pause_s(self, took_s: float) -> float:
        """
        Give the seconds to leave off after a batch that took *took_s*.

        None while no step runs, and none once an end has waited for as long as one may.
        """
        share, keys = self._settings.share, self._env.keys
        if share >= 1 or not self._connection.call(count_claimed(keys)):
            return 0.0
        since = self._connection.call(oldest_end(keys))
        may_wait_s = since + self._settings.lag_s - self._env.clock.now()
        return max(0.0, min(took_s * (1 / share - 1), may_wait_s))
