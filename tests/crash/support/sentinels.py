"""
A primary, a replica and three sentinels, each a process of its own: killed, demoted, brought back.
"""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Self

import redis

from stepflow.embedded.launch import _find_binary
from tests.crash.support.waiting import until
from tests.ports import free_port

SERVICE = "main"


class Node:
    """
    One server process, of data or a sentinel, that can be killed and started again on what it left.
    """

    def __init__(
        self, folder: Path, name: str, lines: list[str], *, sentinel: bool = False
    ) -> None:
        self.port, self.folder = free_port(), folder / name
        self.folder.mkdir()
        self._config = self.folder / "node.conf"
        self._config.write_text(
            "\n".join([f"port {self.port}", f"dir {self.folder}", "bind 127.0.0.1", *lines, ""])
        )
        self._more = ["--sentinel"] if sentinel else []
        self.client = redis.Redis(port=self.port, socket_timeout=5.0)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [_find_binary()[0], str(self._config), *self._more],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        until(self.answers, what=f"{self.folder.name} to serve")

    def answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = None
        self.client.connection_pool.disconnect()

    def role(self) -> str:
        try:
            return str(self.client.info("replication")["role"])
        except redis.RedisError:
            return "away"


class Sentinels:
    """All five, as a context manager."""

    def __init__(self, folder: Path) -> None:
        data = [
            "appendonly yes",
            'save ""',
            "repl-diskless-sync-delay 0",
            "repl-ping-replica-period 1",
        ]
        first = Node(folder, "one", data)
        second = Node(folder, "two", [*data, f"replicaof 127.0.0.1 {first.port}"])
        self.data = [first, second]
        watch = [
            f"sentinel monitor {SERVICE} 127.0.0.1 {first.port} 2",
            f"sentinel down-after-milliseconds {SERVICE} 1000",
            f"sentinel failover-timeout {SERVICE} 3000",
        ]
        self.watchers = [
            Node(folder, f"sentinel{number}", watch, sentinel=True) for number in range(3)
        ]
        places = ",".join(f"127.0.0.1:{node.port}" for node in self.watchers)
        self.url = f"redis+sentinel://{places}/{SERVICE}/0"

    def __enter__(self) -> Self:
        for node in (*self.data, *self.watchers):
            node.start()
        until(self.is_whole, what="the sentinels to know each other, the primary and its replica")
        return self

    def __exit__(self, *exc: object) -> None:
        for node in (*self.data, *self.watchers):
            if node.process is not None:
                node.kill()
            node.client.close()

    def primary(self) -> Node:
        """Give the one that the sentinels say it is, once it says so itself."""

        def found() -> Node | None:
            for watcher in self.watchers:
                try:
                    _, port = watcher.client.sentinel_get_master_addr_by_name(SERVICE)
                except (redis.RedisError, TypeError):
                    continue
                return next(
                    (node for node in self.data if node.port == port and node.role() == "master"),
                    None,
                )
            return None

        return until(found, what="a primary")

    def is_whole(self) -> bool:
        """Say whether every sentinel knows the others and one replica that is up to date."""
        for watcher in self.watchers:
            if watcher.process is None:
                continue
            state = watcher.client.sentinel_master(SERVICE)
            if (
                int(state["num-other-sentinels"]) < 2
                or int(state["num-slaves"]) < 1
                or state["is_sdown"]
            ):
                return False
        primary = next((node for node in self.data if node.role() == "master"), None)
        if primary is None:
            return False
        replicas = primary.client.info("replication")
        return bool(replicas["connected_slaves"]) and replicas["slave0"]["state"] == "online"
