"""
What a run has done and what it is doing, step by step, for people and programs.

`read.py` asks Redis, `entries.py` reads a workflow's journal, `records.py` the steps of a runner.
"""

from stepflow.engine.timeline.model import (
    FailedAttempt,
    StepKind,
    StepState,
    StepStatus,
    Timeline,
    Trace,
)
from stepflow.engine.timeline.read import timeline, timeline_of, trace

__all__ = [
    "FailedAttempt",
    "StepKind",
    "StepState",
    "StepStatus",
    "Timeline",
    "Trace",
    "timeline",
    "timeline_of",
    "trace",
]
