"""`run`: a runner, a workflow or another definition, as a child run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stepflow.core.graphs.definitions import RUNNER
from stepflow.errors import PermanentError, did_you_mean
from stepflow.kits.definition.checking.source import Way
from stepflow.kits.definition.kinds.base import At, Flow, KindInput, registered, unknown
from stepflow.kits.definition.known import Known
from stepflow.kits.definition.submission import payload_of


class RunInput(KindInput):
    """A child run: `runner` or `definition`."""

    runner: str | None = None
    """The name of a runner or a workflow."""
    definition: str | None = None
    """The name of another definition."""
    input: Any = None
    version: int | None = None
    """The version of the workflow."""
    entry_point: str | None = None
    """Where the definition begins."""


class Run(Flow):
    """A child run; its value is the result of that."""

    name = "run"
    Input = RunInput
    options = frozenset({"compensate", "timeout", "queue"})

    def faults(self, given: Mapping[str, Any], known: Known) -> Iterator[tuple[Way, str]]:
        if (given.get("runner") is None) == (given.get("definition") is None):
            yield (), "a run has either runner or definition"
        if not known.is_app:
            return
        for what, names, remedy in (
            ("runner", [*known.runners(), *known.foreign], registered("or names it in runners=")),
            ("definition", list(known.definitions), "app.definitions(...) has not loaded it"),
        ):
            name = given.get(what)
            if isinstance(name, str) and "{" not in name and name not in names:
                yield (what,), unknown(what, name, names, remedy)

    async def carry(self, given: RunInput, at: At) -> Any:
        runner, payload = given.runner, given.input
        if given.definition is not None:
            runner, payload = RUNNER, await snapshot(given.definition, given, at)
        child = await at.ctx.spawn(
            runner or "", payload, key=at.step.id, queue=at.step.queue,
            timeout=at.step.timeout, version=given.version,
        )  # fmt: skip
        return await child.result()


async def snapshot(name: str, given: RunInput, at: At) -> Any:
    """Take a definition as it is now, for good: a later edit does not touch the child either."""
    known = at.driver.known

    async def take() -> dict[str, Any]:
        if name not in known.definitions:
            hint = did_you_mean(name, list(known.definitions))
            msg = f"this worker has no definition {name!r}{hint}"
            raise PermanentError(msg)
        return payload_of(known.definitions[name], given.input, given.entry_point)

    key = f"{at.step.id}.definition"
    return await at.ctx.step(key, take, key=key)
