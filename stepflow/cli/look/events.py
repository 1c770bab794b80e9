"""`stepflow events`: print what has happened to a run."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.wait import end_code, goes_on

if TYPE_CHECKING:
    from stepflow.core.events import Event

#: characters of a value that a line shows
_MOST = 80


@click.command("events", short_help="Print what has happened to RUN.")
@click.argument("run")
@click.option("--follow", "-f", is_flag=True, help="Go on until RUN ends; exit as it did.")
@click.option("--after", metavar="ID", help="Begin after this event.")
@common_options
@pass_context
def events_command(context: CliContext, run: str, after: str | None, *, follow: bool) -> int:
    """
    Print what has happened to RUN, one line for each event, from its submit on.

    With --json, each event is a line of JSON, whose `id` is what --after takes.
    """
    output = context.output
    with context.client(starts=False) as client:
        run_id = context.run_id(client, run)
        events = client.events(run_id, after=after, live=follow)
        with closing(events):  # type: ignore[type-var]  # it is a generator
            try:
                for event in events:
                    if output.json:
                        output.data(event.as_dict())
                    else:
                        output.line(_line(event))
            except KeyboardInterrupt:
                raise goes_on(run_id) from None
        if not follow:
            return 0
        status = client.status(run_id)
        return 0 if status is None or not status.is_finished else end_code(status)


def _line(event: Event) -> str:
    from stepflow.cli.output import text

    shown = " ".join(
        f"{name}={_short(value)}"
        for name, value in event.details.items()
        if value not in (None, "")
    )
    return f"{text(event.at) or '-':<19}  {event.type:<14}  {shown}".rstrip()


def _short(value: Any) -> str:
    words = " ".join(str(value).split())
    words = words if len(words) <= _MOST else f"{words[: _MOST - 4]} ..."
    return repr(words) if " " in words else words
