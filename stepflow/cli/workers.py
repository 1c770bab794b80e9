"""`stepflow workers` and `queues`."""

from __future__ import annotations

import click

from stepflow.cli.context import Setup, common_options, pass_setup
from stepflow.cli.output import ago, span


@click.command("workers")
@common_options
@pass_setup
def workers_command(setup: Setup) -> None:
    """List the live workers and how much each of them holds."""
    with setup.client() as client:
        found = client.workers()
    if setup.json:
        setup.screen.data(found)
        return
    rows = [
        (
            worker.name, worker.state if worker.is_live else "lost",

            f"{worker.running}/{worker.concurrency}" if worker.concurrency else "(not stepflow's)",
            worker.done, ", ".join(worker.runners), worker.host, worker.pid, ago(worker.started_at),
            ago(worker.seen_at),
        )
        for worker in found
    ]  # fmt: skip
    columns = ("worker", "state", "running", "done", "runners", "host", "pid", "age", "seen")
    setup.screen.table(
        columns, rows, empty="no workers; start one with stepflow worker package.module:app"
    )


@click.command("queues")
@common_options
@pass_setup
def queues_command(setup: Setup) -> None:
    """List the queues: what waits in each, how long, and what workers hold."""
    with setup.client() as client:
        found = client.queues()
    if setup.json:
        setup.screen.data(found)
        return
    rows = [
        (
            queue.queue, queue.priority, queue.length, queue.running,
            None if queue.oldest_s is None else span(queue.oldest_s),
            "not stepflow's" if queue.is_foreign else "hook deliveries" if queue.is_hooks else "",
        )
        for queue in found
    ]  # fmt: skip
    columns = ("queue", "priority", "waiting", "running", "oldest", "note")
    setup.screen.table(columns, rows, empty="no queues; nothing was submitted here yet")
