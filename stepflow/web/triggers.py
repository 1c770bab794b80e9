"""
`triggers`: an ASGI app that takes the webhooks which begin definitions.

It has no access of its own: each webhook says by which secret its sender is known, and the secret
is read from this server's environment. Mount it where the senders reach it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from stepflow.client import AsyncClient
from stepflow.client.definitions import begun_once, book_of
from stepflow.engine.spec import RunSpec
from stepflow.errors import RunCancelled, RunFailed, StepflowError
from stepflow.hooks.body import json_value
from stepflow.web.incoming import AROUND_PAYLOAD, check_head, parse, receive
from stepflow.web.problems import RequestProblem, response_of
from stepflow.web.written import written

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


class Incoming(Protocol):
    """The trigger of a path (`kits.definition.triggers.webhook.Incoming`)."""

    @property
    def methods(self) -> Sequence[str]:
        """The methods that it takes."""

    @property
    def wait_s(self) -> float | None:
        """How long its answer waits for the end of the run; None for not at all."""

    def refusal(self, headers: Mapping[str, str], body: bytes, now: float) -> str | None:
        """Say why a request is refused; None for one that is from who it says."""

    def spec(self, headers: Mapping[str, str], body: bytes, event: object) -> RunSpec:
        """Make the run; the same delivery is the same run."""


def triggers(client: AsyncClient, *, prefix: str = "") -> Starlette:
    """
    Make the ASGI app that takes the webhooks of the definitions of an app, by its `async_client`.

    *prefix* comes before each path. 202 has the id of the run, 200 its result where the trigger
    waits for it, 401 stands for a wrong or old signature. A delivery that comes again begins
    nothing and is answered like the first one: its sender may not have heard the first answer.
    """
    return Starlette(routes=[trigger_route(client, prefix)])


def trigger_route(client: AsyncClient, prefix: str = "") -> Route:
    """Make the route of `triggers`, for an app that has others; raises InvalidOption."""
    book = book_of(client._registry, "triggers")  # noqa: SLF001  one house

    async def take(request: Request) -> Response:
        found: Incoming | None = book.on_request(request.path_params["path"])
        if found is None or request.method not in found.methods:
            return _said("there is no such webhook", 404)
        try:
            return await _taken(found, request, client)
        except (RequestProblem, StepflowError) as problem:
            return response_of(problem)

    return Route(f"{prefix.rstrip('/')}/{{path:path}}", take, methods=_METHODS)


async def _taken(found: Incoming, request: Request, client: AsyncClient) -> Response:
    check_head(request)
    limit = client.settings.limits.payload_bytes + AROUND_PAYLOAD
    body = await receive(request, limit)
    headers = {name.lower(): value for name, value in request.headers.items()}
    refusal = found.refusal(headers, body, time.time())
    if refusal is not None:
        return _said(refusal, 401)
    event = parse(body) if body else dict(request.query_params)
    spec = found.spec(headers, body, event)
    submitted = await begun_once(spec, lambda spec: client._do(client._submit(spec)))  # noqa: SLF001  one house
    if found.wait_s is None:
        return JSONResponse({"id": submitted.id}, 202)
    return await _ended(submitted.id, found.wait_s, client)


async def _ended(run_id: str, wait_s: float, client: AsyncClient) -> Response:
    """Answer with the result, if the run ends in time."""
    try:
        result: Any = await client.result(run_id, wait_s)
    except TimeoutError:
        return JSONResponse({"id": run_id}, 202)
    except (RunFailed, RunCancelled) as error:
        return JSONResponse({"id": run_id, "detail": type(error).__name__}, 502)
    document = {"id": run_id, "result": json_value(result)}
    return Response(written(document), media_type="application/json")


def _said(detail: str, status: int) -> Response:
    return JSONResponse({"detail": detail}, status)
