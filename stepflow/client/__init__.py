"""
Client and AsyncClient.

Submit runs, watch them, cancel them, from any process that reaches the Redis.

Both have the same methods; those of AsyncClient are awaited. Importing this room pulls in no runner
and no worker code.
"""

from stepflow.client.async_client import AsyncClient, AsyncRunHandle
from stepflow.client.base import resolve
from stepflow.client.hook_info import HookInfo
from stepflow.client.sync_client import Client, RunHandle

__all__ = ["AsyncClient", "AsyncRunHandle", "Client", "HookInfo", "RunHandle", "resolve"]
