"""
Workflows: plain sequential code that survives crashes.

Each `ctx` call is remembered in the run's journal. `context` and `sync_context` are the public
face; `commands` is what workflow code asks the runtime for, `replay` carries a workflow on, and
`runtime` says what both need of a worker.
"""

from stepflow.kits.flow.context import Context
from stepflow.kits.flow.sync_context import SyncContext

__all__ = ["Context", "SyncContext"]
