"""What was counted: by minute and hour for people, and all of it for a monitoring system."""

from stepflow.engine.stats.model import FailureGroup, StatsPeriod, RunnerStats, Stats
from stepflow.engine.stats.read import HOURS, MINUTES, stats
from stepflow.engine.stats.snapshot import Snapshot, snapshot

__all__ = [
    "HOURS",
    "MINUTES",
    "FailureGroup",
    "StatsPeriod",
    "RunnerStats",
    "Snapshot",
    "Stats",
    "snapshot",
    "stats",
]
