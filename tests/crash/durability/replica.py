"""A primary that is destroyed while its replica lags, and the replica in its place."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import redis

from tests.crash.support.server import Server, _is_whole
from tests.crash.support.waiting import until
from tests.ports import free_port


class Link:
    """What a replica is connected to its primary through, until it is cut: then no byte passes."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._place = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._place.getsockname()[1])
        self._sockets: list[socket.socket] = [self._place]
        self._is_cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, far = (
                    self._place.accept()[0],
                    socket.create_connection(("127.0.0.1", self._to)),
                )
                self._sockets += [near, far]
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while (data := source.recv(65_536)) and not self._is_cut:
                target.sendall(data)

    def cut(self) -> None:
        """Pass nothing on any more; both ends believe that they are connected."""
        self._is_cut = True

    def close(self) -> None:
        """Hang up."""
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


class Pair:
    """A server and one replica of it; what is lost with the one is missing on the other."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._node = Path(server.folder)
        self._replica: subprocess.Popen[bytes] | None = None
        self._link: Link | None = None
        #: how much the replica has at most, once it falls behind
        self._received: int | None = None
        self.destroyed = 0
        #: bytes of the replication stream that replicas had not received
        self.lost_bytes = 0
        self.add_replica()

    def add_replica(self) -> None:
        """Start a replica and wait until it has everything, also on its disk."""
        primary = redis.Redis(unix_socket_path=os.path.realpath(self._server.socket))
        self._node, port = self._server.folder / f"pair{self.destroyed}", free_port()
        self._node.mkdir()
        primary.config_set("bind", "127.0.0.1")
        primary.config_set("port", port)
        primary.config_set("repl-diskless-sync-delay", 0)
        self._link = Link(port)
        replicaof = ("--replicaof", "127.0.0.1", str(self._link.port))
        self._replica = self._server._launch(self._node, *replicaof, port=free_port())
        client = redis.Redis(unix_socket_path=str(self._node / "redis.sock"))
        until(lambda: _is_whole(client), what="a replica that has it all, also on its disk")
        client.close()
        primary.close()

    def fall_behind(self) -> None:
        """Have the replica get nothing any more."""
        assert self._link is not None
        self._link.cut()
        self._received = _written_to(self._server.client)

    def destroy_primary(self, lag_s: float = 0.0) -> None:
        """
        Have the replica fall behind for *lag_s*, end the primary for good, promote the other.

        Who waits for the replica stands still meanwhile, but for the writes that go before each
        wait: so the lag is at least as long as until one of these.
        """
        replica, old, server = self._replica, self._server._process, self._server
        assert replica is not None
        assert old is not None
        assert self._link is not None
        if self._received is None:
            self.fall_behind()
        received, self._received = self._received or 0, None
        time.sleep(lag_s)
        until(lambda: _written_to(server.client) > received, what="a write that no replica has")
        written = _written_to(server.client)
        old.kill()
        old.wait()
        self._link.close()
        client = redis.Redis(unix_socket_path=str(self._node / "redis.sock"))
        until(
            lambda: client.info("replication")["master_link_status"] == "down",
            what="a replica that misses its primary",
        )
        client.execute_command("REPLICAOF", "NO", "ONE")
        self.lost_bytes += written - _written_to(client)
        client.close()
        self.destroyed += 1
        (server.folder / "next").symlink_to(self._node / "redis.sock")
        (server.folder / "next").replace(server.socket)
        server._node, server._process = self._node, replica
        server.client.connection_pool.disconnect()
        self._replica = None
        self.add_replica()

    def close(self) -> None:
        """End the replica."""
        if self._link is not None:
            self._link.close()
        if self._replica is not None:
            self._replica.kill()
            self._replica.wait()


def _written_to(client: redis.Redis) -> int:
    """Return how many bytes the stream of replication has had, on the server of *client*."""
    return int(client.info("replication")["master_repl_offset"])
