"""Versions and builds of workflows: which a submit takes, which live workers have."""

from stepflow.engine.versions.builds import (
    BLOCKED_LIVE_S,
    LIVE_S,
    announce_builds,
    group_in,
    live_builds,
)
from stepflow.engine.versions.choose import FORGET_S, Versions, live_versions, newest_version

__all__ = [
    "BLOCKED_LIVE_S", "FORGET_S", "LIVE_S", "Versions", "announce_builds", "group_in",
    "live_builds", "live_versions", "newest_version",
]  # fmt: skip
