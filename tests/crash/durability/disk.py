"""
A disk that is told when to write, and a machine that loses its power.

The server runs with `appendfsync no`, so nothing counts as on disk but what `sync` has brought
there: it has the server sync what there is by then, and notes how long the append-only file was. A
power cut kills the server and cuts the file back to that length, whatever the kernel still holds.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.crash.support.server import Server


class Disk:
    """The disk of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.on_disk = 0
        self.cuts = 0
        #: bytes that power cuts have lost
        self.lost_bytes = 0
        server.client.config_set("auto-aof-rewrite-percentage", 0)  # one file, which only grows
        self.sync()

    @property
    def _file(self) -> Path:
        [found] = self._server.folder.glob("appendonlydir/*.incr.aof")
        return found

    def sync(self) -> None:
        """Bring to disk what was written by now; who waits for that is answered."""
        client = self._server.client
        client.config_set("appendfsync", "always")
        client.set("power:synced", self.cuts, px=60_000)  # a write, for the server to sync with
        client.config_set("appendfsync", "no")
        self.on_disk = self._file.stat().st_size

    @property
    def lags(self) -> bool:
        """Whether something was written that is not on the disk."""
        return self._file.stat().st_size > self.on_disk

    def cut_power(self) -> None:
        """Lose all that is not on disk, and start again on what is."""
        self._server.kill()
        self.lost_bytes += self._file.stat().st_size - self.on_disk
        os.truncate(self._file, self.on_disk)
        self.cuts += 1
        self._server.start()
        self._server.client.config_set("auto-aof-rewrite-percentage", 0)
        self.sync()
