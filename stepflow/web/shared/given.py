"""What the operations on shared values take."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from stepflow.web.models import Given, Rows, whole

#: what the name of a step looks like that shares its values
SHARED_STEP = r"^[A-Za-z0-9_.-]{1,100}$"

_Id = Annotated[str, Field(min_length=1, max_length=100)]


class SharedQuery(Given):
    """Which values of a step are listed: so many, after so many."""

    limit: Rows = 100
    offset: Annotated[int, Field(ge=0, le=10**8), BeforeValidator(whole)] = 0


class DropShared(Given):
    """Which values of a step are dropped: those with these ids, else all of them."""

    ids: Annotated[list[_Id], Field(max_length=1000)] | None = None
