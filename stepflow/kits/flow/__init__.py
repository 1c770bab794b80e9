"""
Workflows: plain sequential code that survives crashes, because each `ctx` call is remembered in a
journal.
"""

from stepflow.kits.flow.context import Context
from stepflow.kits.flow.sync_context import SyncContext

__all__ = ["Context", "SyncContext"]
