"""`stepflow output`: print what a run emits."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.wait import end_code, goes_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepflow.cli.output import Output
    from stepflow.client import Client
    from stepflow.core.output import OutputEvent


@click.command("output", short_help="Print what RUN has emitted.")
@click.argument("run")
@click.option("--follow", "-f", is_flag=True, help="Go on until RUN ends; exit as it did.")
@click.option(
    "--topic", "topics", metavar="TOPIC", multiple=True, help="Only this topic; may be repeated."
)
@click.option("--after", metavar="ID", help="Start after this event, or at the 'latest'.")
@click.option("--committed", is_flag=True, help="Print items only once their step is committed.")
@common_options
@pass_context
def output_command(
    context: CliContext,
    run: str,
    topics: tuple[str, ...],
    after: str | None,
    *,
    follow: bool,
    committed: bool,
) -> int:
    """
    Print what the steps of RUN have emitted: text as it is, other data as a line of JSON each.

    What a failed attempt had emitted is left out; with --follow, where it may be printed already, a
    line on stderr says so. With --json, print every event as a line of JSON.
    """
    with context.client(starts=False) as client:
        run_id = context.run_id(client, run)
        events = client.output(
            run_id, after=after, topics=topics or None, live=follow, committed=committed
        )
        with closing(events):  # type: ignore[type-var]  # it is a generator
            try:
                _print(events, context.output, follows=follow)
            except KeyboardInterrupt:
                raise goes_on(run_id) from None
        return _exit_code(client, run_id) if follow else 0


def _print(events: Iterator[OutputEvent], output: Output, *, follows: bool) -> None:
    from stepflow.core.output import OutputGap, OutputItem, OutputReset, OutputView

    view, column = OutputView(), _Column()
    for event in events:
        if output.json:
            output.data(_as_dict(event))
        elif isinstance(event, OutputGap):
            column.note("some of the output is gone: only the newest is kept", output)
        elif not follows:
            view.apply(event)
        elif isinstance(event, OutputItem):
            column.print(event.data, output)
        elif isinstance(event, OutputReset):
            column.note(f"what step {event.scope} has said so far is void", output)
    for item in view.items:
        column.print(item.data, output)
    column.end()


class _Column:
    """Knows whether the last line printed is still open."""

    def __init__(self) -> None:
        self._is_open = False

    def print(self, data: Any, output: Output) -> None:
        if isinstance(data, str):
            click.echo(data, nl=False)
            self._is_open = bool(data) and not data.endswith("\n")
        else:
            self.end()
            output.data(data)

    def note(self, text: str, output: Output) -> None:
        self.end()
        output.note(text)

    def end(self) -> None:
        if self._is_open:
            click.echo()
        self._is_open = False


def _as_dict(event: OutputEvent) -> dict[str, Any]:
    from dataclasses import asdict

    return {"event": event.kind, **asdict(event)}


def _exit_code(client: Client, run_id: str) -> int:
    status = client.status(run_id)
    return 0 if status is None or not status.is_finished else end_code(status)
