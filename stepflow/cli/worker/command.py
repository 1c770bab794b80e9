"""`stepflow worker`: one worker process, or several under a supervisor."""

from __future__ import annotations

import logging
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.errors import Exit, Problem
from stepflow.cli.params import DURATION

if TYPE_CHECKING:
    from stepflow.app import CoreApp

log = logging.getLogger("stepflow.worker")


@click.command("worker", short_help="Run a worker for APP (package.module:app).")
@click.argument("app_path", metavar="APP", required=False)
@click.option(
    "--queue",
    "-q",
    "queues",
    multiple=True,
    metavar="NAME",
    help="Take runs from this queue; may be repeated.  [default: default]",
)
@click.option(
    "--concurrency",
    "-c",
    type=click.IntRange(1),
    metavar="N",
    help="How many steps each process runs at once.",
)
@click.option(
    "--processes",
    "-p",
    type=click.IntRange(1),
    metavar="P",
    help="How many worker processes to run, under a supervisor.",
)
@click.option("--burst", is_flag=True, help="Stop when the queues are empty.")
@click.option(
    "--lease",
    type=DURATION,
    metavar="S",
    help="Seconds after which a dead worker's steps run again elsewhere.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="The lowest level that is logged.",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65_535),
    metavar="PORT",
    help="Serve metrics for Prometheus at this port.",
)
@click.option(
    "--metrics-host",
    default="127.0.0.1",
    show_default=True,
    metavar="HOST",
    help="The address that metrics are served at.",
)
@click.option("--name", hidden=True, help="This process's name; given by a supervisor.")
@common_options
@pass_context
def worker_command(
    context: CliContext,
    app_path: str | None,
    queues: tuple[str, ...],
    concurrency: int | None,
    processes: int | None,
    burst: bool,
    lease: float | None,
    log_level: str,
    metrics_port: int | None,
    metrics_host: str,
    name: str | None,
) -> int:
    """
    Run a worker for APP (package.module:app).

    SIGTERM or Ctrl-C stops it gracefully: running steps finish and are committed. A second one
    stops it at once. Nothing is lost either way. With --json it logs one JSON object a line.
    """
    from stepflow.cli.worker.json_lines import JsonLines
    from stepflow.cli.worker.lines import log_to_stderr
    from stepflow.core.ids import check_queue
    from stepflow.worker.worker import new_worker_name

    app = context.load_app(app_path)
    if app is None:
        raise Problem(
            "a worker needs an app; name one: stepflow worker package.module:app", Exit.USAGE
        )
    names = [check_queue(queue) for queue in queues or ("default",)]
    if lease is not None:
        from stepflow.settings import DAY_S

        if not 0 < lease <= DAY_S:
            raise Problem(
                f"--lease must be more than 0 and at most {DAY_S:,.0f} seconds", Exit.USAGE
            )
        settings = app.settings.worker.model_copy(update={"lease_s": lease})
        app.settings = app.settings.model_copy(update={"worker": settings})
    count = processes or app.settings.worker.processes
    slots = concurrency or app.settings.worker.concurrency
    is_child, is_single = name is not None, name is not None or count == 1
    if is_single:
        name = name or new_worker_name()
    log_to_stderr(log_level, JsonLines(name) if context.json else None)
    if metrics_port is not None and not is_child:  # of several processes the supervisor serves them
        _serve_metrics(context, app, metrics_host, metrics_port)
    with nullcontext() if is_child else _archiving(context, app, log_level, burst=burst):
        if not is_single:
            return _supervise(context, app, count, burst=burst)
        from stepflow.entry import work
        from stepflow.worker.worker import WorkerOptions

        options = WorkerOptions(names, slots, burst, str(name), archives=False)
        return work(app, options, url=context.url(app))


def _archiving(
    context: CliContext, app: CoreApp, log_level: str, *, burst: bool
) -> AbstractContextManager[None]:
    """Have the ends of runs archived beside the workers, where the app has an archive."""
    if app.registry.archive is None or not app.settings.archive.processes:
        return nullcontext()
    from stepflow.archiver import Place, beside

    url = str(context.url(app) or app.url)
    place = Place(url, app.namespace, app.settings, log_level, is_json=context.json)
    return beside(place, burst=burst)


def _serve_metrics(context: CliContext, app: CoreApp, host: str, port: int) -> None:
    """Serve the metrics of the Redis of *app* beside the worker."""
    from stepflow.client import Client
    from stepflow.engine.stats.snapshot import snapshot
    from stepflow.metrics.serve import serve_metrics
    from stepflow.store.connection.sync import carry_out

    client = Client(context.url(app), namespace=app.namespace, settings=app.settings)
    try:
        port = serve_metrics(lambda: carry_out(client.connection, snapshot(client.env)), host, port)
    except OSError as error:
        raise Problem(f"cannot serve metrics at {host} port {port}: {error.strerror}") from None
    log.info("metrics are at http://%s:%s/metrics", host, port)


def _supervise(context: CliContext, app: CoreApp, count: int, *, burst: bool) -> int:
    """
    Run this same command line in *count* child processes.

    Each gets a name, which makes it a single worker.
    """
    from stepflow.client import Client
    from stepflow.store.connection.sync import carry_out
    from stepflow.supervisor import supervise
    from stepflow.worker.recover import recover_worker

    # starts the embedded server before the children, which would race for it
    client = Client(context.url(app), namespace=app.namespace, settings=app.settings)
    return supervise(
        [sys.executable, "-m", "stepflow", *sys.argv[1:]],
        processes=count,
        burst=burst,
        grace_s=app.settings.worker.grace_s,
        recover=lambda name: carry_out(client.connection, recover_worker(name, client.env)),
    )
