"""
A server that answers as a test tells it, in a thread of its own: for what a real one does only on a
bad day.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Self

from stepflow.store.connection.resp import PyReader

#: given the number of the connection (from 0) and the command, says what to answer; None hangs up
Behaviour = Callable[[int, list[bytes]], bytes | None]

OK = b"+OK\r\n"


def greet(command: list[bytes]) -> bytes | None:
    """Answer what a fresh connection asks; None for anything else."""
    return (
        b"$1\r\nx\r\n"
        if command[0] == b"SCRIPT"
        else OK
        if command[0] in (b"CLIENT", b"SELECT", b"AUTH", b"HELLO")
        else b"+PONG\r\n"
        if command == [b"PING"]
        else None
    )


class Toy:
    """
    Serves on 127.0.0.1 until it is closed; keeps the commands that arrived, greetings left out.
    """

    def __init__(self, behave: Behaviour) -> None:
        self._behave = behave
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._wires: list[socket.socket] = []
        self.connections = 0
        self.got: list[tuple[int, list[bytes]]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        for wire in self._wires:
            wire.close()

    def _accept(self) -> None:
        while True:
            try:
                wire, _ = self._socket.accept()
            except OSError:
                return
            self._wires.append(wire)
            number, self.connections = self.connections, self.connections + 1
            threading.Thread(target=self._serve, args=(wire, number), daemon=True).start()

    def _serve(self, wire: socket.socket, number: int) -> None:
        reader = PyReader()
        try:
            while data := wire.recv(65536):
                reader.feed(data)
                while (command := reader.gets()) is not False:
                    with self._lock:
                        if greet(command) is None:
                            self.got.append((number, command))
                        answer = self._behave(number, command)
                    if answer is None:
                        # RST, not FIN: what was answered before may be lost as well
                        wire.shutdown(socket.SHUT_RDWR)
                        return
                    wire.sendall(answer)
        except OSError:
            return
        finally:
            wire.close()
