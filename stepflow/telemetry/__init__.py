"""
Traces: each submit, attempt, step and hook is a span, in the trace of whoever submitted the run.

`Stepflow(telemetry=OpenTelemetry())` turns it on. Needs the extra `otel`.
"""

try:
    from stepflow.telemetry.tracing import OpenTelemetry
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "opentelemetry":
        raise
    sentence = "stepflow.telemetry needs opentelemetry: pip install 'stepflow-rq[otel]'"
    raise ModuleNotFoundError(sentence, name="opentelemetry") from None

__all__ = ["OpenTelemetry"]
