"""What a library that runs in a workflow needs: ids that follow from the run, places of its own."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from stepflow.core.ids import idempotency_key, key_name
from stepflow.kits.flow.calls.base import checked_name
from stepflow.kits.flow.commands.question import Asked, Notice
from stepflow.kits.flow.context import Context

T = TypeVar("T")


def derived_uuid(ctx: Context, name: str) -> uuid.UUID:
    """Return a UUID for *name* in the present history of the run; it takes no place in it."""
    activation = ctx._activation  # noqa: SLF001  one house
    key = idempotency_key(activation.run.seed, activation.restarts, name)
    return uuid.UUID(hex=key, version=4)


def kept_with(ctx: Context, kind: Callable[[Context], T]) -> T:
    """
    Return what a library keeps for the activation of *ctx*, made of it on first use.

    It stands in *ctx*, so both are collected together, though it may hold *ctx* itself: no
    dictionary of weak keys would let go of that.
    """
    kept = vars(ctx)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if name not in kept:
        kept[name] = kind(ctx)
    found: T = kept[name]
    return found


def places_apart(ctx: Context) -> Callable[[], None]:
    """
    Have what the present task asks for take places below one of its own.

    Until the returned function is called. See `Branch.turn_off`.
    """
    return ctx._activation.loop.branch().turn_off()  # noqa: SLF001  one house


def branch_at(ctx: Context, work: Coroutine[Any, Any, T], key: str) -> asyncio.Task[T]:
    """Do *work* in a branch whose places follow from *key*, whatever task asks for it, and when."""
    activation = ctx._activation  # noqa: SLF001  one house
    activation.check_caller()
    return activation.create_branch(work, f"at:{key_name(key)}", key)


def ask_through(
    ctx: Context,
    prompt: str,
    timeout: float | timedelta | None,
    name: str,
    tell: Callable[[str], Any],
) -> Asked[Any]:
    """
    Ask people for anything, as `ctx.ask` does, and have step *name* tell them.

    What *tell* returns, unless it is None, is the answer; then the question is withdrawn.
    """
    notice = Notice(checked_name(name), tell, ctx._policy, None, may_answer=True)  # noqa: SLF001  one house
    return ctx._ask(None, prompt, timeout, notice)  # noqa: SLF001  one house


def emit_last(ctx: Context, data: Any, topic: str, most_bytes: int) -> asyncio.Future[None]:
    """Publish as `ctx.emit` does; of the run's output stay *most_bytes* at most, the newest."""
    return ctx._emit(data, topic, most_bytes)  # noqa: SLF001  one house


def is_put_aside(ctx: Context) -> bool:
    """Whether the activation of *ctx* is over: what its code still does is only its cleanup."""
    return ctx._activation.loop.is_over  # noqa: SLF001  one house


def queue_of(ctx: Context) -> str:
    """Return the queue of the run."""
    return ctx._activation.run.queue  # noqa: SLF001  one house
