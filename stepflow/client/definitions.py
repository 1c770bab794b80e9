"""Runs of definitions, workflows as data, which the app of a client knows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from stepflow.client.options import SubmitOptions
from stepflow.engine.env import Env
from stepflow.engine.signal import signal
from stepflow.engine.spec import RunSpec
from stepflow.engine.submit import Submitted
from stepflow.errors import InvalidOption, RunConflict, RunNotFound, SignalRefused
from stepflow.store.query import load_versions

if TYPE_CHECKING:
    from stepflow.engine.registry import Registry

#: options of a submit that a definition has no use for
_NOT_FOR_DEFINITIONS = frozenset({"version"})


class Book(Protocol):
    """What an app knows of definitions (`kits.definition.definitions.Definitions`)."""

    def spec_of(
        self,
        given: Any,
        input: Any = None,  # noqa: A002  as the clients name it
        entry_point: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> RunSpec:
        """Make the run of a definition, checked; raises InvalidOption."""

    def needs(self, spec: RunSpec) -> Mapping[str, str]:
        """Give the runners that steps of the run need, each with a sentence for its lack."""

    def on_event(self, topic: str, data: Any, event_id: str) -> Sequence[Any]:
        """Give what an event begins: runs to submit, and (run id, signal, payload)."""

    def on_message(self, text: str, message_id: str) -> RunSpec:
        """Give the run that a text begins; raises InvalidOption where nothing takes it."""

    def on_request(self, path: str) -> Any:
        """Give the webhook trigger of a path; None where there is none."""


def book_of(registry: Registry | None, verb: str) -> Book:
    """Give what the app knows of definitions; raises InvalidOption where it knows nothing."""
    book: Book | None = None if registry is None else registry.definitions
    if book is not None:
        return book
    why = "is of no app" if registry is None else "is of an app that has none"
    msg = (
        f"client.{verb}: this client {why}, and only an app knows what a definition may name; "
        "call app.definitions(...), and use app.client or app.async_client"
    )
    raise InvalidOption(msg)


def defined(
    book: Book,
    definition: Any,
    given: Any,
    entry_point: str | None,
    options: SubmitOptions,
) -> RunSpec:
    """Make the run that `submit_definition` is told; TypeError for an option that there is not."""
    known = SubmitOptions.__annotations__.keys() - _NOT_FOR_DEFINITIONS
    unknown = options.keys() - known
    if unknown:
        msg = f"submit_definition() got an unexpected keyword argument {min(unknown)!r}"
        raise TypeError(msg)
    return book.spec_of(definition, given, entry_point, {**options})


async def check_needs(book: Book, spec: RunSpec, known: Mapping[str, Any], env: Env) -> None:
    """
    Refuse a run with a step that no worker of the last month could do.

    *known* are the runners of the app at hand.
    """
    needs = {runner: why for runner, why in book.needs(spec).items() if runner not in known}
    if not needs:
        return
    said = {name for name, _ in await load_versions(env.keys)}
    lacking = [why for runner, why in needs.items() if runner not in said]
    if lacking:
        raise InvalidOption("; ".join(lacking))


async def begin(
    begun: Sequence[Any], submit: Callable[[RunSpec], Awaitable[Submitted]], dedup: str, env: Env
) -> list[str]:
    """
    Begin what an event, or the like, begins; returns the ids of the runs, also of those there.

    A signal to a run that is not there, or has ended, is nobody's and is left.
    """
    found: list[str] = []
    for each in begun:
        if isinstance(each, RunSpec):
            found.append((await begun_once(each, submit)).id)
            continue
        run_id, name, payload = each
        try:
            await signal(run_id, name, payload, dedup, env)
        except (RunNotFound, SignalRefused):
            continue
        found.append(run_id)
    return found


async def begun_once(spec: RunSpec, submit: Callable[[RunSpec], Awaitable[Submitted]]) -> Submitted:
    """Submit a run whose id says what began it: one that is there is the same, edited or not."""
    try:
        return await submit(spec)
    except RunConflict:
        return Submitted(str(spec.run_id), created=False)
