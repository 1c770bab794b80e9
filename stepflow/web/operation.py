"""One operation of the API: where it is, what it takes and gives, who may ask for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request

from stepflow.client import AsyncClient
from stepflow.web.access import READ, Grant
from stepflow.web.problems import Problem
from stepflow.web.redact import Redact

#: the right of an operation that anybody may ask for
NOBODYS = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One request for an operation, its parts read and checked."""

    client: AsyncClient
    request: Request
    redact: Redact
    #: who asks, and what they may do
    grant: Grant
    #: where the API stands: what is before the operation's own path
    root: str
    path: Mapping[str, str]
    query: Any
    body: Any
    #: the streams that are open
    streams: Any

    @property
    def by(self) -> str:
        """The name under which it is written down."""
        return self.grant.by


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that needs more than its document."""

    document: Any
    headers: Mapping[str, str] = field(default_factory=dict)


#: carries out an operation: gives its document, or a Reply
Handle = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Operation:
    """
    One operation: a row of the table.

    *answer* is the type of what *handle* gives, for the document; *query* and *body* are models of
    what it takes. *problems* are the errors of stepflow's that it may meet.
    """

    method: str
    path: str
    handle: Handle
    summary: str
    answer: Any
    right: str = READ
    status: int = 200
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    problems: tuple[Problem, ...] = ()
    #: the request headers that it knows, with what they mean
    headers: Mapping[str, str] = field(default_factory=dict)
    #: whether it gives server-sent events
    streams: bool = False
    #: the media type of what it gives
    media: str = "application/json"

    @property
    def is_verb(self) -> bool:
        """Whether it changes something."""
        return self.method != "GET"

    @property
    def name(self) -> str:
        """Name it, for the document."""
        return self.handle.__name__.rstrip("_").replace("_", "-")
