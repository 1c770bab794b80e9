"""The pages as routes: each request is checked as the API's are, and whatever fails is a page."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from stepflow.client import AsyncClient
from stepflow.errors import StepflowError, UnavailableError
from stepflow.web.access import READ, Grant
from stepflow.web.door import Door
from stepflow.web.pages import assets
from stepflow.web.pages.login import is_login, pages_of
from stepflow.web.pages.render import render
from stepflow.web.pages.table import PAGES, done_by
from stepflow.web.pages.visit import Page, Shown, Visit
from stepflow.web.problems import (
    InternalError,
    NoSuchRoute,
    NotAllowed,
    NotAuthenticated,
    RequestProblem,
    document_of,
)
from stepflow.web.redact import Redact

log = logging.getLogger("stepflow.web")

#: seconds that a page has to look around; a client would try for longer
LOOK_S = 4.0
#: bytes from which an answer is compressed
_COMPRESSED = 1000
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def routes_of(client: AsyncClient, door: Door, prefix: str, redact: Redact) -> list[BaseRoute]:
    """Give the routes of the dashboard, below *prefix*."""
    site = _Site(client, door, prefix, redact)
    pages = (*pages_of(door), *PAGES, Page("/{rest:path}", _nothing, right=""))
    routes: list[BaseRoute] = [Route("/static/{tag}/{name}", assets.serve)]
    routes += [Route(page.path, site.endpoint(page), methods=list(page.methods)) for page in pages]
    compressed = Middleware(GZipMiddleware, minimum_size=_COMPRESSED)
    return [
        Route(f"{prefix}/", site.begin),
        Route(f"{prefix}/ui", site.begin),
        Mount(f"{prefix}/ui", routes=routes, middleware=[compressed]),
    ]


async def _nothing(visit: Visit) -> Response:
    del visit
    raise NoSuchRoute


class _Site:
    """What all pages share."""

    def __init__(self, client: AsyncClient, door: Door, prefix: str, redact: Redact) -> None:
        self.client, self.door, self.prefix, self.redact = client, door, prefix, redact

    async def begin(self, request: Request) -> Response:
        """Lead to the first page."""
        root = request.scope.get("root_path", "").rstrip("/")
        return RedirectResponse(f"{root}{self.prefix}/ui/")

    def endpoint(self, page: Page) -> Callable[[Request], Awaitable[Response]]:
        """Make the endpoint of a page."""

        async def endpoint(request: Request) -> Response:
            visit = self._visit(request, Grant(None))
            try:
                changes = "POST" in page.methods
                grant = await self.door.admit(request, page.right, changes=changes)
                visit = self._visit(request, grant)
                answer = self._made(await _looked(page, visit), visit)
            except NotAuthenticated as problem:
                answer = self._made(self._asking(visit, problem), visit)
            except NotAllowed as problem:
                # who may look sees where else to go
                grant = await self.door.admit(request, READ, changes=False)
                answer = self._made(_told(problem), self._visit(request, grant))
            except (RequestProblem, StepflowError) as problem:
                answer = self._made(_told(problem), visit)
            except Exception:
                log.exception("%s %s ends with a fault", request.method, page.path)
                answer = self._made(_told(InternalError()), visit)
            answer.headers.update(_HEADERS)
            return answer

        return endpoint

    def _visit(self, request: Request, grant: Grant) -> Visit:
        return Visit(
            self.client,
            request=request,
            redact=self.redact,
            grant=grant,
            root=request.scope["root_path"].removesuffix("/ui"),
            now=datetime.now(UTC),
        )

    def _asking(self, visit: Visit, problem: NotAuthenticated) -> Shown | Response:
        if not is_login(self.door.access, visit.request) or visit.is_fragment:
            return _told(problem)
        query = visit.request.url.query
        wanted = f"{visit.place}?{query}" if query else visit.place
        return RedirectResponse(visit.url("login", next=wanted), 303)

    def _made(self, shown: Shown | Response, visit: Visit) -> Response:
        """Make the answer of what a page shows."""
        if isinstance(shown, Response):
            return shown
        around: dict[str, Any] = {
            "pages": [page for page in PAGES if page.label],
            "namespace": self.client.env.keys.namespace,
            "done": done_by(visit.query.get("did", "")),
            "can_leave": bool(pages_of(self.door)),
        }
        html = render(shown, visit, **around)
        content = html.encode("utf-8", "backslashreplace")
        return Response(content, shown.status, media_type="text/html; charset=utf-8")


async def _looked(page: Page, visit: Visit) -> Shown | Response:
    """Have a page look, which does not take long; a verb takes the time that it takes."""
    if "POST" in page.methods:
        return await page.look(visit)
    try:
        async with asyncio.timeout(LOOK_S):
            return await page.look(visit)
    except TimeoutError:
        msg = f"Redis did not answer within {LOOK_S:g} s"
        raise UnavailableError(msg) from None


def _told(problem: RequestProblem | StepflowError) -> Shown:
    """Make the page that says what went wrong."""
    document = document_of(problem)
    is_away = isinstance(problem, UnavailableError)
    template = "away.html" if is_away else "problem.html"
    return Shown(template, {"problem": document}, document["status"], live=None)
