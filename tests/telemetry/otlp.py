"""Spans as the OpenTelemetry Collector keeps them in a file: OTLP in JSON, one request a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult


class OtlpFile(SpanExporter):
    """Appends spans to a file; what a killed process has exported stays there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with self._path.open("a") as file:
            file.write(json.dumps(MessageToDict(encode_spans(spans))) + "\n")
        return SpanExportResult.SUCCESS


def spans_in(path: Path) -> Iterator[dict[str, Any]]:
    """Read the spans in a file back; attributes as a plain dict, their values as text."""
    for line in path.read_text().splitlines():
        for resource in json.loads(line)["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    said = span.get("attributes", ())
                    yield span | {
                        "attributes": {each["key"]: str(*each["value"].values()) for each in said}
                    }
