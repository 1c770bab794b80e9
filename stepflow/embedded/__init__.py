"""
A real Redis server for people who have none.

It starts on demand, is shared by the processes of one folder, and ends with the last of them. The
law of this package: one server to a folder, and only file locks tell whether it is alive. It uses
nothing but the standard library.
"""

from stepflow.embedded.server import Server, ensure, release, status, stop

__all__ = ["Server", "ensure", "release", "status", "stop"]
