"""Serves metrics from a thread of a process that has another occupation: a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import Metric as Family
from prometheus_client import start_http_server
from prometheus_client.registry import Collector

from stepflow.engine.stats.snapshot import Snapshot
from stepflow.metrics.collect import SnapshotCollector


class _Present(Collector):
    """The metrics of the moment of each scrape."""

    def __init__(self, take: Callable[[], Snapshot]) -> None:
        self._take = take

    def collect(self) -> Iterator[Family]:
        """Take a snapshot and make its families."""
        yield from SnapshotCollector(self._take()).collect()


def serve_metrics(take: Callable[[], Snapshot], host: str, port: int) -> int:
    """
    Answer every GET at *host* and *port* with the metrics of what *take* gives then.

    In daemon threads, until the process ends. Gives the port, which may be given as 0; raises
    OSError.
    """
    server, _ = start_http_server(port, host, registry=_Present(take))
    return int(server.server_port)
