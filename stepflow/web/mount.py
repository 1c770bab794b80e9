"""`app`: the operations, and the dashboard's pages, as a Starlette app."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from stepflow.client import AsyncClient
from stepflow.errors import StepflowError
from stepflow.web.access import Access
from stepflow.web.document import document
from stepflow.web.door import Door
from stepflow.web.incoming import AROUND_PAYLOAD, read_body, read_query
from stepflow.web.limits.path import routed
from stepflow.web.models import Nothing
from stepflow.web.operation import Call, Operation, Reply
from stepflow.web.problems import (
    BadRequest,
    InternalError,
    MethodNotAllowed,
    NoSuchRoute,
    RequestProblem,
    response_of,
)
from stepflow.web.redact import Redact, hide_secrets
from stepflow.web.routes import OPERATIONS, PATH_PARTS
from stepflow.web.streams import Streams
from stepflow.web.written import written

log = logging.getLogger("stepflow.web")

#: on every answer: what it says of now is not kept, and is what it says it is
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_OTHER_METHOD = 405


def app(
    client: AsyncClient,
    *,
    access: Access,
    prefix: str = "",
    hosts: Collection[str] | None = None,
    redact: Redact = hide_secrets,
    pages: bool = True,
    closes: bool = False,
    triggers: AsyncClient | None = None,
) -> Starlette:
    """
    Make the HTTP API of *client* and its dashboard, an ASGI app that you may mount into yours.

    *access* is asked for each request what its sender may do: "all", "read", a set of verbs, None
    for nothing, or a Grant, which also names them; it may be a coroutine function. *prefix* comes
    before each path. *hosts* are the host names that it goes by, None for any: your own app looks.
    *redact* says what is shown of values. The dashboard is at `ui/`; without *pages* there is none.
    *triggers* is the `async_client` of an app with definitions, whose webhooks are then taken at
    `triggers/`, each by its own secret. With *closes* the clients are closed at shutdown. Call
    `state.end_streams()` of the app to end its open streams before that.
    """

    @asynccontextmanager
    async def lifespan(served: Starlette) -> AsyncIterator[None]:
        del served
        try:
            yield
        finally:
            for each in {client, triggers or client} if closes else ():
                await each.close()

    api = _Api(client, Door(access, hosts), prefix.rstrip("/"), redact)
    routes: list[BaseRoute] = [
        Route(
            f"{api.prefix}{routed(operation.path)}",
            api.endpoint(operation),
            methods=[operation.method],
            name=operation.name,
        )
        for operation in OPERATIONS
    ]
    routes.append(Route(f"{api.prefix}/openapi.json", api.describe, methods=["GET"]))
    if pages:
        from stepflow.web.pages import routes_of  # noqa: PLC0415  an API alone needs no templates

        routes += routes_of(client, api.door, api.prefix, redact)
    if triggers is not None:
        from stepflow.web.triggers import trigger_route  # noqa: PLC0415  few apps have any

        routes.append(trigger_route(triggers, f"{api.prefix}/triggers"))
    made = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={HTTPException: _not_routed},
    )
    made.router.redirect_slashes = False  # /runs/ is no route, and a redirect names any host
    made.state.end_streams = api.streams.end
    return made


async def _not_routed(request: Request, error: Exception) -> Response:
    """Answer for a path, or a method of it, that there is not."""
    del request
    headers = dict(getattr(error, "headers", None) or {})
    is_method = isinstance(error, HTTPException) and error.status_code == _OTHER_METHOD
    return response_of(MethodNotAllowed() if is_method else NoSuchRoute(), _HEADERS | headers)


class _Api:
    """What all endpoints share."""

    def __init__(
        self,
        client: AsyncClient,
        door: Door,
        prefix: str,
        redact: Redact,
    ) -> None:
        self.client, self.door, self.prefix, self.redact = client, door, prefix, redact
        self.streams = Streams()
        self.limit = client.settings.limits.payload_bytes + AROUND_PAYLOAD

    def endpoint(self, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
        """Make the endpoint of an operation; whatever goes wrong is a problem document."""

        async def endpoint(request: Request) -> Response:
            try:
                answer = await operation.handle(await self._read(operation, request))
            except (RequestProblem, StepflowError) as problem:
                return response_of(problem, _HEADERS)
            except Exception:
                log.exception("%s %s ends with a fault", request.method, operation.path)
                return response_of(InternalError(), _HEADERS)
            if isinstance(answer, Response):
                return answer
            reply = answer if isinstance(answer, Reply) else Reply(answer)
            return Response(
                written(reply.document),
                operation.status,
                {**_HEADERS, **reply.headers},
                media_type="application/json",
            )

        return endpoint

    async def _read(self, operation: Operation, request: Request) -> Call:
        """Check who asks and what for, and read what they give."""
        grant = await self.door.admit(request, operation.right, changes=operation.is_verb)
        _check_path(request.path_params)
        query = read_query(request, operation.query or Nothing)
        model = operation.body
        body = None if model is None else await read_body(request, model, self.limit)
        return Call(
            self.client,
            request=request,
            redact=self.redact,
            grant=grant,
            root=self._root(request),
            path=request.path_params,
            query=query,
            body=body,
            streams=self.streams,
        )

    def _root(self, request: Request) -> str:
        return f"{request.scope.get('root_path', '').rstrip('/')}{self.prefix}"

    async def describe(self, request: Request) -> Response:
        """Give the OpenAPI document."""
        whole = document(OPERATIONS, self._root(request))
        return Response(written(whole), headers=_HEADERS, media_type="application/json")


def _check_path(parts: dict[str, str]) -> None:
    for name, value in parts.items():
        pattern, says = PATH_PARTS[name]
        if not re.fullmatch(pattern.strip("^$"), value):
            msg = f"{value[:100]!r} in the path does not fit {pattern}: {says}"
            raise BadRequest(msg)
