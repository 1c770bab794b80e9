"""The text that Prometheus reads."""

from __future__ import annotations

from prometheus_client.exposition import choose_encoder

from stepflow.engine.stats.snapshot import Snapshot
from stepflow.metrics.collect import SnapshotCollector


def exposition(snapshot: Snapshot, accepts: str = "") -> tuple[bytes, str]:
    """Write a snapshot in the format that the header Accept asks for; gives it, and its type."""
    encode, content_type = choose_encoder(accepts)
    return encode(SnapshotCollector(snapshot)), content_type
