"""What the operations on groups take."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from stepflow.web.models import NAME, QUEUE, Given, Level, Reason, Rows, Span, Version

#: what the id of a group looks like
GROUP_ID = r"^[A-Za-z0-9_](-?[A-Za-z0-9_]){0,63}$"


class GroupsQuery(Given):
    """How many groups are listed."""

    limit: Rows = 50


class Member(Given):
    """A member of a group: what it runs, and with what."""

    runner: Annotated[str, Field(pattern=NAME)]
    payload: Any = None
    headers: dict[str, str] = Field(default_factory=dict)
    tags: dict[str, str] = Field(default_factory=dict)
    queue: Annotated[str, Field(pattern=QUEUE)] = "default"
    priority: Level = "normal"
    lane: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    delay: Span | None = None
    timeout: Annotated[float, Field(gt=0, le=3e7, allow_inf_nan=False)] | None = None
    on_timeout: Literal["undo", "end"] = "undo"
    version: Version | None = None


class SubmitGroup(Given):
    """A group; the fields are the options of `stepflow group submit`."""

    members: dict[str, Member]
    join: Annotated[str, Field(pattern=r"^(all|any|settled|\d{1,9}|\d{1,3}%)$")] | None = None
    timeout: Annotated[float, Field(gt=0, le=3e7, allow_inf_nan=False)] | None = None
    webhooks: list[Annotated[str, Field(json_schema_extra={"format": "uri"})]] = Field(
        default_factory=list
    )


class CancelGroup(Given):
    """Why a group is cancelled."""

    reason: Reason = ""
