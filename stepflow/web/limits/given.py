"""What the operations on limits take."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from stepflow.web.models import Given, Span, integer

#: what a limit with its key looks like: `stripe`, `stripe[acme]`
LIMIT = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}(\[[^\x00-\x1f]{0,200}\])?$"

_Count = Annotated[int, Field(ge=1, le=10**9), BeforeValidator(integer)]


class SetLimit(Given):
    """Bounds that count instead of those of the code; "none" takes one of the code away."""

    concurrency: (
        Annotated[int, Field(ge=0, le=10**9), BeforeValidator(integer)] | Literal["none"] | None
    ) = None
    rate: Annotated[str, Field(max_length=40)] | None = None
    burst: _Count | None = None
    max_line: _Count | None = None
    max_wait: Span | Literal["none"] | None = None
