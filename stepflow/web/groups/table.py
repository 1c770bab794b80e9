"""The rows of the table of operations that are about groups."""

from __future__ import annotations

from dataclasses import dataclass

from stepflow.engine.groups.info import GroupInfo
from stepflow.errors import (
    GroupBusy,
    GroupMismatch,
    GroupNotFound,
    InvalidName,
    InvalidOption,
    PayloadTooLarge,
    ReservedHeader,
    UnsupportedValue,
    WebhookRefused,
)
from stepflow.web.groups import handlers
from stepflow.web.groups.given import CancelGroup, GroupsQuery, SubmitGroup
from stepflow.web.operation import Operation
from stepflow.web.problems import Problem

_ONE: tuple[Problem, ...] = (GroupNotFound,)
_AT = "/groups/{group_id}"


@dataclass(frozen=True, slots=True)
class GroupRetried:
    """How many failed members go on."""

    group: str
    retried: int


@dataclass(frozen=True, slots=True)
class GroupForgotten:
    """That a group is forgotten."""

    group: str
    forgotten: bool


GROUPS = (
    Operation(
        "GET", "/groups", handlers.list_groups, "List groups", list[GroupInfo], query=GroupsQuery,
    ),
    Operation("GET", _AT, handlers.show_group, "Show a group", GroupInfo, problems=_ONE),
    Operation(
        "PUT", _AT, handlers.submit_group, "Submit many runs as a group", GroupInfo,
        right="submit", status=202, body=SubmitGroup,
        problems=(
            GroupMismatch, InvalidName, InvalidOption, ReservedHeader, PayloadTooLarge,
            UnsupportedValue, WebhookRefused,
        ),
    ),
    Operation(
        "POST", f"{_AT}/retry", handlers.retry_group, "Retry the failed members of a group",
        GroupRetried, right="retry-group", problems=(*_ONE, GroupBusy),
    ),
    Operation(
        "POST", f"{_AT}/cancel", handlers.cancel_group, "Cancel a group", GroupInfo,
        right="cancel-group", body=CancelGroup, problems=(*_ONE, GroupBusy),
    ),
    Operation(
        "DELETE", _AT, handlers.forget_group, "Forget a group", GroupForgotten,
        right="forget-group", problems=(*_ONE, GroupBusy),
    ),
)  # fmt: skip
