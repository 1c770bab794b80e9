"""The operations that give figures: what was counted, for people and for Prometheus."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from stepflow.engine.stats.snapshot import snapshot
from stepflow.errors import UnavailableError
from stepflow.hooks.body import json_value
from stepflow.web.operation import Call

#: Prometheus asks again, and what it is told is not HTML
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


async def stats(call: Call) -> Any:
    """Give what was counted by minute and by hour, by runner, and which errors end runs."""
    query = call.query
    return json_value(await call.client.stats(minutes=query.minutes, hours=query.hours))


async def metrics(call: Call) -> Response:
    """Give the metrics of this Redis in the format of Prometheus, or of OpenMetrics."""
    try:
        from stepflow.metrics import exposition  # noqa: PLC0415  an extra, for who asks for it
    except ModuleNotFoundError as missing:
        msg = f"metrics need {missing.name}: pip install 'stepflow-rq[metrics]'"
        raise UnavailableError(msg) from None
    taken = await call.client._do(snapshot(call.client.env))  # noqa: SLF001  a verb of no client
    body, content_type = exposition(taken, call.request.headers.get("accept", ""))
    return Response(body, headers={**_HEADERS, "Content-Type": content_type})
