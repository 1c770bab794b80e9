"""
What a run has done and what it is doing, step by step, for people and programs.

`read.py` asks Redis, `entries.py` reads a workflow's journal, `records.py` the steps of a runner.
"""

from stepflow.engine.timeline.model import StepKind, StepState, StepStatus, Timeline
from stepflow.engine.timeline.read import timeline

__all__ = ["StepKind", "StepState", "StepStatus", "Timeline", "timeline"]
