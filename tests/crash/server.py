"""A server process of one's own, with the binary the embedded server would take: killed, started again on its AOF."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from urllib.parse import quote

import redis

from stepflow.embedded.launch import _find_binary
from tests.crash.waiting import until


class Server:
    """One server on a socket in *folder*."""

    def __init__(self, folder: Path, *, appendfsync: str = "always") -> None:
        self.folder = folder
        self.socket = str(folder / "redis.sock")
        self.url = f"unix://{quote(self.socket)}?db=0"
        self.appendfsync = appendfsync
        self.client = redis.Redis(unix_socket_path=self.socket, socket_timeout=20.0)
        self.kills = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it on what its folder holds and wait until it serves."""
        self._launch()
        until(self.answers, what="the server to serve")

    def start_loading(self, *, delay_us: int) -> None:
        """Start it so that each key takes *delay_us* to load, and wait until it says that it loads."""
        self._launch("--key-load-delay", str(delay_us), "--loading-process-events-interval-bytes", "1024")
        until(lambda: self.is_loading, what="the server to load")

    @property
    def is_loading(self) -> bool:
        """Whether it says that it loads."""
        try:
            return bool(self.client.info("persistence")["loading"])
        except redis.RedisError:
            return False

    def _launch(self, *more: str) -> None:
        binary, _, _ = _find_binary()
        options = f"--port 0 --appendonly yes --appendfsync {self.appendfsync} --maxmemory-policy noeviction"
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [binary, *options.split(), "--save", "", "--unixsocket", self.socket, "--dir", str(self.folder),
                 *more],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def answers(self) -> bool:
        """Say whether it serves; false while it loads."""
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    def kill(self) -> None:
        """End it as a power cut would end the process."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._process = None
        self.client.connection_pool.disconnect()
        self.kills += 1

    def restart(self) -> None:
        """Kill it and start it again on its append-only file."""
        self.kill()
        self.start()

    def close(self) -> None:
        """End it for good."""
        if self._process is not None:
            self.kill()
        self.client.close()
