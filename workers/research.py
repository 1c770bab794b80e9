"""
The worker of the demo's pipeline, on a queue of its own.

    stepflow worker workers.research:app --queue research
"""

from __future__ import annotations

from stepflow.cli.demo.pipeline import app

__all__ = ["app"]
