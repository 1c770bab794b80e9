"""
Client and AsyncClient: submit runs, watch them, cancel them, from any process that reaches the Redis.

Both have the same methods; those of AsyncClient are awaited. Importing this room pulls in no runner and no worker code.
"""

from stepflow.client.blocking import Client, RunHandle
from stepflow.client.common import resolve
from stepflow.client.streaming import AsyncClient, AsyncRunHandle

__all__ = ["AsyncClient", "AsyncRunHandle", "Client", "RunHandle", "resolve"]
