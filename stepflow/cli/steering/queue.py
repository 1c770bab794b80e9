"""`stepflow queue`: pause and resume one, and look after its lanes."""

from __future__ import annotations

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.output import span


@click.group("queue", short_help="Pause or resume a queue, or look after its lanes.")
@common_options
def queue_command() -> None:
    """Pause a queue, so that workers take nothing from it, resume it, or look after its lanes."""


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


@queue_command.command("lanes", short_help="List the lanes of NAME that have waiting runs.")
@click.argument("name", default="default")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, metavar="N")
@common_options
@pass_context
def lanes(context: CliContext, name: str, limit: int) -> None:
    """List the lanes of the queue NAME that have waiting runs, in the order of their turns."""
    with context.client(starts=False) as client:
        found = client.lanes(name, most=limit)
    rows = [
        (
            lane.lane, lane.priority, lane.waiting,
            None if lane.oldest_s is None else span(lane.oldest_s), f"{lane.weight:g}",
        )
        for lane in found
    ]  # fmt: skip
    columns = ("lane", "priority", "waiting", "oldest", "weight")
    context.output.records(found, columns, rows, empty=f"no run waits in a lane of queue {name}")


@queue_command.command("weigh", short_help="Give a lane of NAME more or fewer turns.")
@click.argument("name")
@click.argument("lane")
@click.argument("weight", type=float, required=False)
@common_options
@pass_context
def weigh(context: CliContext, name: str, lane: str, weight: float | None) -> None:
    """Have LANE of the queue NAME take WEIGHT turns for each turn of others; 1 without WEIGHT."""
    with context.client() as client:
        client.set_weight(name, lane, weight)
    context.output.said(
        {"queue": name, "lane": lane, "weight": weight or 1.0},
        f"lane {lane} of queue {name} has weight {weight or 1:g}",
    )


@queue_command.command("window", short_help="Set how many runs of NAME stand in its RQ list.")
@click.argument("name")
@click.argument("size", type=int, required=False)
@common_options
@pass_context
def window(context: CliContext, name: str, size: int | None) -> None:
    """Have SIZE runs of the queue NAME stand in its RQ list, the rest in lanes."""
    with context.client() as client:
        client.set_window(name, size)
    words = f"queue {name} has {size or 'the usual'} runs in its RQ list"
    context.output.said({"queue": name, "window": size}, words)


def _say(context: CliContext, name: str, words: str, *, changed: bool) -> None:
    context.output.said({"queue": name, "changed": changed}, f"queue {name} {words}")
