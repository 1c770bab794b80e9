"""`stepflow workers`, `runners` and `queues`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.look.health import refusal_at
from stepflow.cli.output import ago, span

if TYPE_CHECKING:
    from stepflow.engine.inspect import QueueInfo, WorkerInfo


@click.command("workers", short_help="List the workers and what they run.")
@common_options
@pass_context
def workers_command(context: CliContext) -> None:
    """List the workers and how many steps each of them is running."""
    with context.client(starts=False) as client:
        found = client.workers()
        is_lacking = any(not worker.is_live for worker in found)
        refused = refusal_at(client) if is_lacking else ""
    if refused:
        context.output.note(f"Redis refuses writes: {refused}; no worker can say that it lives")
    rows = [
        (
            worker.name, _state(worker),
            f"{worker.running}/{worker.concurrency}" if worker.concurrency else "(not stepflow's)",
            worker.done, ", ".join(worker.runners), worker.host, worker.pid, ago(worker.started_at),
            ago(worker.seen_at),
        )
        for worker in found
    ]  # fmt: skip
    columns = ("worker", "state", "running", "done", "runners", "host", "pid", "age", "seen")
    context.output.records(
        found, columns, rows, empty="no workers; start one with stepflow worker package.module:app"
    )


def _state(worker: WorkerInfo) -> str:
    """Say what a worker does, and what is wrong with its resources."""
    if not worker.is_live:
        return "lost"
    if worker.health and worker.state != "unhealthy":
        return f"{worker.state} ({worker.health})"
    return worker.health or worker.state


@click.command("runners", short_help="List the runners and which workers have them.")
@common_options
@pass_context
def runners_command(context: CliContext) -> None:
    """
    List the runners that workers know: versions, builds, and the runs that wait for a worker.

    A build is a digest of the code. Several of one runner mean that workers have different code, as
    during a rolling deploy.
    """
    with context.client(starts=False) as client:
        found = client.runners()
    rows = [
        (
            runner.runner, runner.version, ", ".join(runner.builds) or "no live worker",
            sum(map(len, runner.builds.values())), ", ".join(runner.queues), runner.waiting,
            ago(runner.seen_at),
        )
        for runner in found
    ]  # fmt: skip
    columns = ("runner", "version", "builds", "workers", "queues", "waiting", "seen")
    context.output.records(found, columns, rows, empty="no worker has ever been here")


def _note(queue: QueueInfo) -> str:
    """Say what is special about a queue."""
    if queue.paused is not None:
        reason = f": {queue.paused.reason}" if queue.paused.reason else ""
        return f"paused by {queue.paused.by} {ago(queue.paused.at)} ago{reason}"
    if queue.lanes:
        return f"{queue.lanes:,} lane{'s take' if queue.lanes > 1 else ' takes'} turns"
    return "not stepflow's" if queue.is_foreign else "hook deliveries" if queue.is_hooks else ""


@click.command("queues", short_help="List the queues and what waits in them.")
@common_options
@pass_context
def queues_command(context: CliContext) -> None:
    """List the queues: what waits in each, for how long, and what is running."""
    with context.client(starts=False) as client:
        found = client.queues()
    rows = [
        (
            queue.queue, queue.priority, queue.length, queue.running,
            None if queue.oldest_s is None else span(queue.oldest_s),
            _note(queue),
        )
        for queue in found
    ]  # fmt: skip
    columns = ("queue", "priority", "waiting", "running", "oldest", "note")
    context.output.records(found, columns, rows, empty="no queues; nothing was submitted here yet")
