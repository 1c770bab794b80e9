"""Workflows: plain sequential code that survives crashes, because each `ctx` call is remembered in a journal."""

from stepflow.kits.flow.context import Context

__all__ = ["Context"]
