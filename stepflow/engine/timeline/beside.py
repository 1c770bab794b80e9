"""What lies beside the steps of a run: its mailbox, its newest output, its journal by pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stepflow.core.ids import check_count
from stepflow.core.output import OutputItem, OutputView
from stepflow.core.run import UnreadableText
from stepflow.engine.env import Env
from stepflow.engine.events.output import event_of
from stepflow.engine.history import show_entry
from stepflow.errors import StepflowError
from stepflow.store.calls import batch
from stepflow.store.events.output import load_newest_output
from stepflow.store.events.records import load_entries
from stepflow.store.journal import count_journal, load_mail
from stepflow.store.values.codec import unpack

#: stands before the id of a signal whose payload is kept beside the mailbox
POINTS = b"\xc1"


@dataclass(frozen=True, slots=True)
class Mail:
    """A signal that a run has not taken yet; *payload* is words for one that is kept apart."""

    name: str
    payload: Any


@dataclass(frozen=True, slots=True)
class JournalPage:
    """Entries of a journal as `history` shows them, from number *first* on, of *total*."""

    entries: Sequence[dict[str, Any]]
    first: int
    total: int


async def mailbox(run_id: str, env: Env, *, limit: int) -> list[Mail]:
    """List the signals that a run has not taken, the oldest first."""
    items = await load_mail(env.keys, run_id, check_count("limit", limit, least=1))
    return [_mail(item) for item in items]


def _mail(item: bytes) -> Mail:
    name, _, packed = item.partition(b"|")
    return Mail(name.decode("utf-8", "replace"), _payload(packed))


def _payload(packed: bytes) -> Any:
    if packed.startswith(POINTS):
        return UnreadableText("<a long payload, kept apart until it is taken>")
    try:
        return unpack(packed)
    except StepflowError as error:
        return UnreadableText(f"<{error}>")


async def newest_output(run_id: str, env: Env, *, limit: int) -> list[OutputItem]:
    """Read the newest items that a run has emitted, the oldest first, but those that were reset."""
    view = OutputView()
    for entry in reversed(await load_newest_output(env.keys, run_id, check_count("limit", limit))):
        view.apply(event_of(entry))
    return view.items


async def journal_page(run_id: str, env: Env, *, first: int, limit: int) -> JournalPage:
    """Read some entries of a journal."""
    check_count("first", first)
    if not check_count("limit", limit):
        return JournalPage([], first, await count_journal(env.keys, run_id))
    written, total = await batch(
        load_entries(env.keys, run_id, first, limit), count_journal(env.keys, run_id)
    )
    return JournalPage([show_entry(entry) for entry in written], first, total)
