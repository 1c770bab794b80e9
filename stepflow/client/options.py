"""The options of `submit`, as type checkers see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, TypedDict

from stepflow.core.backoff import RetryPolicy
from stepflow.hooks.webhook import Webhook


class SubmitOptions(TypedDict, total=False):
    """The options of `submit`, all of them by keyword; see RunSpec."""

    run_id: str | None
    headers: Mapping[str, str] | None
    queue: str
    priority: str | int
    delay: float | timedelta | None
    start_at: float | datetime | None
    timeout: float | timedelta | None
    webhooks: Sequence[Webhook | str]
    retry: RetryPolicy | None
    on_conflict: Literal["return", "restart"]
    version: int | None
    strict: bool
    tags: Mapping[str, str] | None
