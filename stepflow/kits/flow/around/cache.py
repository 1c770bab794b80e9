"""Values of steps that runs share: computed once for the same arguments, however many ask."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

from stepflow.engine.user_code.arguments import bind
from stepflow.errors import InvalidOption, shown
from stepflow.kits.flow.commands.host import CommandHost
from stepflow.kits.flow.commands.step import Around, StepCommand
from stepflow.kits.flow.current_step import present_attempt
from stepflow.kits.flow.runtime import FlowRuntime
from stepflow.kits.flow.step_options import Cache
from stepflow.store.values.codec import pack, unpack
from stepflow.store.values.digest import digest

#: what may name values that are shared: it is part of a key
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


def shared(
    cache: Cache,
    name: str,
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    key: Any,
    read: Callable[[Any], Any],
    inner: Around | None,
) -> Around:
    """
    Have the function called only where no run has its value, or computes it.

    Values are found by *name*, version, and the arguments, or *key* instead of those where it is
    not None. *inner* stands around the call itself. Raises InvalidOption for a name that can be in
    no key, UnsupportedValue for arguments that have no canonical form.
    """
    if not _NAME.fullmatch(name):
        msg = (
            f"step {shown(name)} cannot share its value by that name: use letters, digits, '_', "
            "'.' or '-', 100 at most, or give the step a name"
        )
        raise InvalidOption(msg)
    try:
        what = bind(function, args, kwargs) if key is None else {"": key}
    except ValueError as error:  # a builtin that does not say what it takes
        msg = f"step {name!r} cannot share its value by its arguments ({error}); give a cache_key="
        raise InvalidOption(msg) from None
    found = digest(f"{name}@{cache.version}", what).hex()
    label = "" if key is None else shown(key)

    async def around(runtime: FlowRuntime, call: Callable[[], Awaitable[Any]]) -> Any:
        command, _, _ = cast("tuple[StepCommand, CommandHost, int]", present_attempt())
        claimed = await runtime.shared.claim(name, found, command.place)
        if isinstance(claimed, bytes):
            value = unpack(claimed)
            return value if read is None else read(value)
        try:
            value = await (call() if inner is None else inner(runtime, call))
            packed = pack(value, what=f"the value of step {name!r}", limit=runtime.limit)
        except BaseException:
            claimed.give_back()
            raise
        claimed.keep(packed, cache.lasts_s, label)
        return value

    return around
