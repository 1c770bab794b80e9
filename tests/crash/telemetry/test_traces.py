"""Workers are killed in the middle of what they trace."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from stepflow import Client
from stepflow.telemetry import OpenTelemetry
from tests.crash.support.cluster import Cluster
from tests.crash.support.waiting import until
from tests.telemetry.otlp import OtlpFile, spans_in

pytestmark = pytest.mark.crash

APP = ("--app", "tests.crash.telemetry.traced:app")


def trace_of_a_killed(runner: str, cluster: Cluster) -> list[dict[str, Any]]:
    """Run *runner*, kill its worker in the second step, and give the spans of all processes."""
    file = cluster.folder / "traces.json"
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OtlpFile(file)))
    first = cluster.worker(*APP)
    telemetry = OpenTelemetry(tracer_provider=provider)
    with Client(cluster.server.url, settings=cluster.settings, telemetry=telemetry) as client:
        run = client.submit(runner, run_id="r1")
        until(lambda: "r1" in cluster.witness.read_text(), what="the second step")
        first.kill()
        cluster.worker(*APP, STEPFLOW_WORKER_LEASE_S=60)  # it loses no claim of its own
        assert run.wait(120).state == "succeeded"
    until(
        lambda: any(span["attributes"].get("stepflow.crashes") for span in spans_in(file)),
        what="the span of the second attempt",
    )
    return list(spans_in(file))


@pytest.mark.parametrize("runner", ["flow", "chain"])
def test_the_repeated_attempt_has_its_own_span_in_the_trace_of_the_submit(make_cluster, runner):
    """[E18] The killed attempt has none: it dies with its worker, what was done in it stays."""
    spans = trace_of_a_killed(runner, make_cluster(STEPFLOW_WORKER_LEASE_S=1))
    assert len({span["traceId"] for span in spans}) == 1
    [send] = [span for span in spans if span["name"] == "send default"]
    [repeated] = [span for span in spans if span["attributes"].get("stepflow.crashes") == "1"]
    assert repeated["name"] == f"process {runner}"
    assert repeated["parentSpanId"] == send["spanId"]
    assert repeated["attributes"]["stepflow.outcome"] == "succeed"
    ids = {span["spanId"] for span in spans}
    orphans = {span["name"] for span in spans if span.get("parentSpanId", "") not in ids}
    # the step that was done hangs below the attempt that was killed
    assert orphans == {"send default"} | ({"step first"} if runner == "flow" else set())
    names = sorted(span["name"] for span in spans if span["name"].startswith("step"))
    assert names == (["step first", "step second"] if runner == "flow" else [])
