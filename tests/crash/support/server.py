"""
A server process of one's own, with the binary the embedded server would take: killed, started again
on its AOF.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import redis

from stepflow.embedded.launch import _find_binary
from tests.crash.support.waiting import until
from tests.ports import free_port


class Server:
    """One server on a socket in *folder*."""

    def __init__(self, folder: Path, *, appendfsync: str = "always") -> None:
        self.folder = folder
        self.socket = str(folder / "redis.sock")
        self.url = f"unix://{quote(self.socket)}?db=0"
        self.appendfsync = appendfsync
        self.client = redis.Redis(unix_socket_path=self.socket, socket_timeout=20.0)
        self.kills = self.takeovers = 0
        self._node = Path(folder)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it on what its folder holds and wait until it serves."""
        self._process = self._launch(self._node)
        until(self.answers, what="the server to serve")

    def start_loading(self, *, delay_us: int) -> None:
        """
        Start it so that each key takes *delay_us* to load, and wait until it says that it loads.
        """
        self._process = self._launch(
            self._node,
            "--key-load-delay",
            str(delay_us),
            "--loading-process-events-interval-bytes",
            "1024",
        )
        until(lambda: self.is_loading, what="the server to load")

    @property
    def is_loading(self) -> bool:
        """Whether it says that it loads."""
        try:
            return bool(self.client.info("persistence")["loading"])
        except redis.RedisError:
            return False

    def take_over(self) -> None:
        """
        Have a replica take the primary's place, the data whole; who is connected stays so, to what
        then is a replica.

        The socket leads to the new primary from then on, as a name would; a second later the old
        one is killed.
        """
        old, client = (
            self._process,
            redis.Redis(unix_socket_path=os.path.realpath(self.socket), socket_timeout=20.0),
        )
        assert old is not None
        self.takeovers += 1
        node, port = self.folder / f"node{self.takeovers}", free_port()
        node.mkdir()
        client.config_set("bind", "127.0.0.1")
        client.config_set("port", port)
        client.config_set("repl-diskless-sync-delay", 0)
        process = self._launch(node, "--replicaof", "127.0.0.1", str(port), port=free_port())
        replica = redis.Redis(unix_socket_path=str(node / "redis.sock"), socket_timeout=20.0)
        until(lambda: _is_whole(replica), what="a replica that has it all, also on its disk")
        client.execute_command("FAILOVER")
        until(lambda: replica.info("replication")["role"] == "master", what="the takeover")
        (self.folder / "next").symlink_to(node / "redis.sock")
        (self.folder / "next").replace(self.socket)
        self._node, self._process = node, process
        self.client.connection_pool.disconnect()
        time.sleep(1.0)
        old.kill()
        old.wait()
        client.close()
        replica.close()

    def _launch(self, node: Path, *more: str, port: int = 0) -> subprocess.Popen[bytes]:
        binary, _, _ = _find_binary()
        path = str(node / "redis.sock")
        options = (
            f"--port {port} --bind 127.0.0.1 --appendonly yes --appendfsync {self.appendfsync} "
            "--maxmemory-policy noeviction"
        )
        with (node / "server.log").open("ab") as log:
            return subprocess.Popen(
                [
                    binary,
                    *options.split(),
                    "--save",
                    "",
                    "--unixsocket",
                    path,
                    "--dir",
                    str(node),
                    *more,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

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


def _is_whole(replica: redis.Redis) -> bool:
    try:
        connection, disk = replica.info("replication"), replica.info("persistence")
    except redis.RedisError:
        return False
    return (
        connection.get("master_link_status") == "up"
        and disk["aof_rewrite_in_progress"] == disk["aof_rewrite_scheduled"] == 0
        and disk["loading"] == 0
    )
