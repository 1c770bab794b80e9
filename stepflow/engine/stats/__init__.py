"""What was counted: by minute and hour for people, and all of it for a monitoring system."""

from stepflow.engine.stats.model import FailureGroup, RunnerStats, Stats, StatsPeriod
from stepflow.engine.stats.read import HOURS, MINUTES, stats

__all__ = [
    "HOURS",
    "MINUTES",
    "FailureGroup",
    "RunnerStats",
    "Stats",
    "StatsPeriod",
    "stats",
]
