"""What a hook may write: runs and values that are there once its delivery is settled, or never."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from stepflow.core.backoff import RetryPolicy
from stepflow.core.run import Priority
from stepflow.core.runner import Effects
from stepflow.engine.spec import RunSpec
from stepflow.errors import InvalidOption, StepOver, shown

#: gives the name and version that a function is registered under
Named = Callable[[Callable[..., Any], int | None], tuple[str, int | None]]

#: runs that a hook may submit: all of them are made by one script
MOST_RUNS = 100


class HookContext:
    """
    What a hook may write beside what it does elsewhere: all of it, once, or nothing.

    It is written when the delivery is settled, in the same write. A hook that raises, or whose
    worker dies, has written nothing, and writes when it is called again. *kv* has the values of the
    run that ended, read by `client.kv(run_id, key)` for as long as the run is kept. *attempt*
    counts from 1.
    """

    __slots__ = ("_named", "attempt", "hook_id", "kv", "specs")

    def __init__(self, hook_id: str, attempt: int, named: Named) -> None:
        self.hook_id = hook_id
        self.attempt = attempt
        self.kv = Effects()
        #: what it has submitted so far
        self.specs: list[RunSpec] = []
        self._named = named

    def submit(
        self,
        runner: str | Callable[..., Any],
        payload: Any = None,
        *,
        run_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        queue: str = "default",
        priority: str | int | Priority = "normal",
        delay: float | timedelta | None = None,
        start_at: float | datetime | None = None,
        timeout: float | timedelta | None = None,
        on_timeout: Literal["undo", "end"] = "undo",
        retry: RetryPolicy | None = None,
        version: int | None = None,
        lane: str | None = None,
        limits: Mapping[str, str] | None = None,
        units: Mapping[str, int] | None = None,
    ) -> str:
        """
        Have a run submitted when the hook is done; gives its id.

        By default the id follows from the hook's delivery, so that one that is delivered again does
        not submit twice. A run that is there with the same input stays; with other input the
        delivery fails with RunConflict. Raises InvalidOption for more than 100 runs, StepOver once
        the hook has returned.
        """
        if self.kv.is_over:
            raise StepOver(f"submit of {shown(runner)} by hook {self.hook_id}")
        if len(self.specs) >= MOST_RUNS:
            msg = f"a hook may submit {MOST_RUNS} runs; submit one that begins the others"
            raise InvalidOption(msg)
        if not isinstance(runner, str):
            runner, version = self._named(runner, version)
        chosen = self._id(len(self.specs)) if run_id is None else run_id
        if chosen in {spec.run_id for spec in self.specs}:
            msg = f"the hook submits run {chosen!r} twice; give each run an id of its own"
            raise InvalidOption(msg)
        self.specs.append(
            RunSpec(
                runner, payload, chosen, headers or {}, queue, priority, delay, start_at, timeout,
                retry=retry, version=version, tags=tags or {}, on_timeout=on_timeout,
                lane=lane, limits=limits or {}, units=units or {},
            )
        )  # fmt: skip
        return chosen

    def _id(self, number: int) -> str:
        digest = hashlib.blake2b(f"{self.hook_id}|{number}".encode(), digest_size=16)
        return f"hook-{digest.hexdigest()}"

    def end(self) -> None:
        """Take nothing more: the hook has returned."""
        self.kv.is_over = True
