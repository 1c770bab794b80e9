"""
Client and AsyncClient: submit runs, watch them, cancel them, from any process.

Both have the same methods; you await those of AsyncClient. Importing this package loads no runner
and no worker code.
"""

from stepflow.client.async_client import AsyncClient, AsyncRunHandle
from stepflow.client.base import resolve
from stepflow.client.hook_info import HookInfo
from stepflow.client.options import SubmitOptions
from stepflow.client.reading import AsyncSessionReader, SessionReader
from stepflow.client.sync_client import Client, RunHandle

__all__ = [
    "AsyncClient",
    "AsyncRunHandle",
    "AsyncSessionReader",
    "Client",
    "HookInfo",
    "RunHandle",
    "SessionReader",
    "SubmitOptions",
    "resolve",
]
