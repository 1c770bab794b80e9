"""
A real Redis server for people who have none.

Started on demand, shared by folder, gone with its last user.

Its law: one server to a folder, and only the locks of the kernel say whether it lives. Standard
library only.
"""

from stepflow.embedded.server import Server, ensure, release, status, stop

__all__ = ["Server", "ensure", "release", "status", "stop"]
