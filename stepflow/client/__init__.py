"""
Client and AsyncClient: submit runs, watch them, cancel them, from any process.

Both have the same methods; you await those of AsyncClient. Importing this package loads no runner
and no worker code; each name is loaded when you first use it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers; `_HOMES` says the same at run time
    from stepflow.client.async_client import AsyncClient as AsyncClient
    from stepflow.client.async_client import AsyncRunHandle as AsyncRunHandle
    from stepflow.client.base import resolve as resolve
    from stepflow.client.hook_info import HookInfo as HookInfo
    from stepflow.client.options import SubmitOptions as SubmitOptions
    from stepflow.client.reading import AsyncSessionReader as AsyncSessionReader
    from stepflow.client.reading import SessionReader as SessionReader
    from stepflow.client.sync_client import Client as Client
    from stepflow.client.sync_client import RunHandle as RunHandle

#: where each name is
_HOMES = {
    "AsyncClient": "async_client",
    "AsyncRunHandle": "async_client",
    "resolve": "base",
    "HookInfo": "hook_info",
    "SubmitOptions": "options",
    "AsyncSessionReader": "reading",
    "SessionReader": "reading",
    "Client": "sync_client",
    "RunHandle": "sync_client",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module 'stepflow.client' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"stepflow.client.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
