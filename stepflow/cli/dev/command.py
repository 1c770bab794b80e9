"""
`stepflow dev`: all you need while you write an app, in one terminal.

A server, a worker that restarts when the code changes, a live list of runs, and the dashboard.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.errors import Exit, Problem

if TYPE_CHECKING:
    from stepflow.cli.dev.view import View
    from stepflow.client import Client
    from stepflow.core.run import RunStatus
    from stepflow.engine.timeline import Timeline

#: seconds between two looks at files, worker and runs
LOOK_S = 0.5
#: runs shown in the live list
SHOWN = 15


@click.command("dev", short_help="Run a worker for APP that restarts when its files change.")
@click.argument("app_path", metavar="APP", required=False)
@click.option(
    "--queue",
    "-q",
    "queues",
    multiple=True,
    metavar="NAME",
    help="Queue to work; may be repeated.  [default: default]",
)
@click.option(
    "--concurrency", "-c", type=click.IntRange(1), metavar="N", help="Steps in progress at once."
)
@common_options
@pass_context
def dev_command(
    context: CliContext, app_path: str | None, queues: tuple[str, ...], concurrency: int | None
) -> None:
    """
    Run a worker for APP (package.module:app) that restarts when its files change.

    The dashboard is served beside it. Without a Redis URL it uses the embedded server of this
    folder. Ctrl-C ends all of it; the runs stay.
    """
    from stepflow.cli.dev.dashboard import Dashboard
    from stepflow.cli.dev.view import View
    from stepflow.cli.dev.worker import ReloadedWorker

    target = app_path or context.app
    app = context.load_app(target)
    if app is None or target is None:
        raise Problem("dev needs an app; name one: stepflow dev package.module:app", Exit.USAGE)
    place = [] if context.redis_url is None else ["--redis-url", context.redis_url]
    place += [] if context.namespace is None else ["--namespace", context.namespace]
    options = [part for queue in queues for part in ("--queue", queue)]
    options += [] if concurrency is None else ["--concurrency", str(concurrency)]
    options += place
    context.app = target
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    with context.client(asked=True) as client, ExitStack() as stack:
        view = stack.enter_context(View(as_json=context.json))
        worker = stack.enter_context(
            ReloadedWorker(
                target,
                options,
                view.say,
                grace_s=app.settings.worker.grace_s,
                data=list if app.registry.definitions is None else app.registry.definitions.files,
            )
        )
        stack.enter_context(Dashboard([target, *place], view.say))
        view.say(f"stepflow dev: working {target}, watching {worker.watched}; Ctrl-C ends it")
        try:
            while True:
                worker.look()
                runs = _runs(client)
                view.show(runs, _timelines(client, runs or (), view))
                time.sleep(LOOK_S)
        except KeyboardInterrupt:
            view.say("ending: running steps may finish; Ctrl-C again ends at once")


def _timelines(client: Client, runs: Sequence[RunStatus], view: View) -> dict[str, Timeline]:
    """Return the steps of those runs that may have gone on since they were shown last."""
    from stepflow.errors import RunNotFound, UnavailableError

    found = {}
    for run in runs:
        if not run.is_finished or view.is_news(run):
            with suppress(RunNotFound, UnavailableError):
                found[run.id] = client.steps(run.id)
    return found


def _runs(client: Client) -> list[RunStatus] | None:
    """Return the newest runs; None while Redis does not answer."""
    from stepflow.errors import UnavailableError

    try:
        return list(client.list(limit=SHOWN).runs)
    except UnavailableError:
        return None
