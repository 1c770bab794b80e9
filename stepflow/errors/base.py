"""The root of the tree."""

from __future__ import annotations

from typing import ClassVar


class StepflowError(Exception):
    """The root: catching it catches all that stepflow raises on purpose."""

    #: whether the same call may succeed later, unchanged
    retryable: ClassVar[bool] = False
