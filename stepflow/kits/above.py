"""
The door to the rooms above the kits: verbs of `Context` and of the app that live there.

Imports go down only. A verb that people call on `ctx` or `app` but that is built on top of them is
looked up by name when it is first called, so that nobody else loads it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def verb_of_agents(path: str) -> Any:
    """Load *path* (`"module:name"` below `stepflow.agents`)."""
    module, _, name = path.partition(":")
    return getattr(import_module(f"stepflow.agents.{module}"), name)
