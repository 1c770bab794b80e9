"""What the operations on breakers take."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from stepflow.web.models import Given, Rows, Span, whole

#: what the name of a breaker looks like
BREAKER = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,49}$"


class BreakersQuery(Given):
    """Which breakers are listed: so many, after so many."""

    limit: Rows = 100
    offset: Annotated[int, Field(ge=0, le=10**8), BeforeValidator(whole)] = 0


class OpenBreaker(Given):
    """For how many seconds a breaker is opened, until it is closed without any, and why."""

    duration: Span | None = None
    note: Annotated[str, Field(max_length=500)] = ""
