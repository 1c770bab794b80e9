"""
Metrics for Prometheus, from what Redis holds: whoever serves them, they are the same.

Only who serves them loads this, and prometheus_client with it (the extra `metrics`).
"""

from stepflow.metrics.exposition import exposition

__all__ = ["exposition"]
