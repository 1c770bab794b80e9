"""What a page is given, and what it gives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from stepflow.client import AsyncClient
from stepflow.core.outcomes import ErrorInfo
from stepflow.hooks.body import json_value
from stepflow.web.access import Grant
from stepflow.web.operation import Call
from stepflow.web.redact import Redact, redacted

#: what a query says of this one look alone
_PASSING = {"did", "seen"}
#: what htmx, and our own script, say of themselves: they want the content alone
_FRAGMENT = "hx-request"


@dataclass(frozen=True, slots=True)
class Visit:
    """One request for a page, its sender known."""

    client: AsyncClient
    request: Request
    redact: Redact
    grant: Grant
    #: where the app stands; the API is below it, and the pages below its `/ui`
    root: str
    now: datetime

    @property
    def path(self) -> Mapping[str, str]:
        """What stands in braces in the path of the page."""
        return self.request.path_params

    @property
    def query(self) -> Mapping[str, str]:
        """The query; of what comes twice, the last."""
        return self.request.query_params

    @property
    def is_fragment(self) -> bool:
        """Whether the content alone is wanted, for a page that is there."""
        return _FRAGMENT in self.request.headers

    @property
    def place(self) -> str:
        """The path of the page, below the dashboard."""
        scope = self.request.scope
        whole: str = scope["path"]
        return whole.removeprefix(scope["root_path"]) or "/"

    def url(self, *parts: str, **query: str | int | None) -> str:
        """Give the address of a page: `url("runs", run_id)`, `url("runs", q="state=failed")`."""
        given = {name: value for name, value in query.items() if value not in {None, ""}}
        path = "/".join(quote(part, safe="") for part in parts)
        return f"{self.root}/ui/{path}" + (f"?{urlencode(given)}" if given else "")

    def here(self, **other: str | int | None) -> str:
        """Give the address of this page, with another query."""
        whole = {name: value for name, value in self.query.items() if name not in _PASSING} | other
        return self.url(*self.place.strip("/").split("/"), **whole)

    def call(self, body: Any, query: Any = None, path: Mapping[str, str] | None = None) -> Call:
        """Make the call of an operation of the API that a button asks for."""
        return Call(
            self.client,
            request=self.request,
            redact=self.redact,
            grant=self.grant,
            root=self.root,
            path=path or self.path,
            query=query,
            body=body,
            streams=None,
        )

    def shown(self, kind: str, value: Any, *path: str) -> Any:
        """Give a value as JSON carries it, and as its viewer may see it."""
        return redacted(self.redact, kind, json_value(value), path)

    def error(self, error: ErrorInfo | None) -> dict[str, str] | None:
        """Give an error as its viewer may see it."""
        return None if error is None else self.shown("error", error)


@dataclass(frozen=True, slots=True)
class Shown:
    """A page to be made of a template."""

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    #: what the page adds to its query when it looks again, to know what it shows; None for a page
    #: that does not
    live: Mapping[str, str] | None = field(default_factory=dict)


#: makes a page, or answers otherwise
Look = Callable[[Visit], Awaitable[Shown | Response]]


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its path below the dashboard, and for the navigation its label and its key."""

    path: str
    look: Look
    label: str = ""
    key: str = ""
    methods: tuple[str, ...] = ("GET",)
    right: str = "read"
