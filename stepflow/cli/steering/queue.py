"""`stepflow queue pause` and `resume`."""

from __future__ import annotations

import click

from stepflow.cli.context import CliContext, common_options, pass_context


@click.group("queue", short_help="Pause or resume a queue.")
@common_options
def queue_command() -> None:
    """Pause a queue, so that workers take nothing from it, or resume it."""


@queue_command.command("pause", short_help="Stop workers from taking anything from NAME.")
@click.argument("name")
@click.option("--reason", default="", metavar="TEXT", help="Kept with the queue and shown.")
@common_options
@pass_context
def pause(context: CliContext, name: str, reason: str) -> None:
    """
    Stop workers from taking anything from the queue NAME until it is resumed.

    What waits in it stays there. Workers leave the runs of it that they have after their present
    step.
    """
    with context.client() as client:
        changed = client.pause_queue(name, reason)
    _say(context, name, "is paused" if changed else "was paused already", changed=changed)


@queue_command.command("resume", short_help="Let workers take from NAME again.")
@click.argument("name")
@common_options
@pass_context
def resume(context: CliContext, name: str) -> None:
    """Let workers take from the queue NAME again."""
    with context.client() as client:
        changed = client.resume_queue(name)
    _say(context, name, "is resumed" if changed else "is not paused", changed=changed)


def _say(context: CliContext, name: str, words: str, *, changed: bool) -> None:
    if context.json:
        context.output.data({"queue": name, "changed": changed})
    else:
        context.output.line(f"queue {name} {words}")
