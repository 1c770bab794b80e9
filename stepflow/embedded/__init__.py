"""
A real Redis server for people who have none.

It starts on demand, is shared by the processes of one folder, and ends with the last of them. The
law of this package: one server to a folder, and only file locks tell whether it is alive. It uses
nothing but the standard library.
"""

from stepflow.embedded.server import Server, ensure, release, status, stop
from stepflow.embedded.unasked import is_interactive, join, start_or_join

__all__ = [
    "Server",
    "ensure",
    "is_interactive",
    "join",
    "release",
    "start_or_join",
    "status",
    "stop",
]
