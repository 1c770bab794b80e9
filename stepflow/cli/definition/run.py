"""`stepflow run`: a definition's file, to its end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.params import JSON
from stepflow.cli.wait import goes_on, report_end

if TYPE_CHECKING:
    from stepflow.client import Client
    from stepflow.core.run import RunStatus

#: the app without --app
_LOCAL = "stepflow.cli.definition.local:app"
#: seconds between two looks at what the run asks
_LOOK_S = 0.3


@click.command("run", short_help="Run the definition in FILE, and print its result.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--input", "given", type=JSON, metavar="JSON", help="The input of the run.")
@click.option("--entry-point", metavar="NAME", help="Where to begin instead.")
@click.option(
    "--id", "run_id", metavar="ID", help="Run id; the same id and input again is the same run."
)
@click.option("--queue", default="default", show_default=True, help="Queue of the run.")
@common_options
@pass_context
def run_command(
    context: CliContext,
    file: Path,
    given: Any,
    entry_point: str | None,
    run_id: str | None,
    queue: str,
) -> int:
    """
    Run the definition in FILE, wait for its end, print its result, and exit as the run did.

    Tools and what else it may name come with --app. Where no live worker serves the queue, one
    works here until the end. What the run asks people is printed, with how to answer.
    """
    from stepflow.client import Client

    target = context.app or os.environ.get("STEPFLOW_APP") or _LOCAL
    app = context.load_app(target)
    assert app is not None
    namespace = context.namespace or app.namespace
    url = context.url(app, asked=True)
    with Client(url, namespace=namespace, settings=app.settings, registry=app.registry) as client:
        run = client.submit_definition(
            file, given, entry_point=entry_point, run_id=run_id, queue=queue
        )
        context.output.note(f"run {run.id}" + ("" if run.created else " was there already"))
        place = ["--redis-url", url, "--namespace", namespace, "--queue", queue]
        with working(context, client, queue, [target, *place]):
            return report_end(_end_of(context, client, run.id), context.output)


def _end_of(context: CliContext, client: Client, run_id: str) -> RunStatus:
    """Wait for the end of the run, and say what it asks meanwhile."""
    told: set[str] = set()
    try:
        while True:
            try:
                return client.wait(run_id, _LOOK_S)
            except TimeoutError:
                for question in client.questions_of(run_id):
                    if question.token not in told:
                        told.add(question.token)
                        context.output.note(f"it asks {question.prompt!r}: {question.answering}")
    except KeyboardInterrupt:
        raise goes_on(run_id) from None


@contextmanager
def working(context: CliContext, client: Client, queue: str, options: list[str]) -> Iterator[None]:
    """Have a worker in a process of its own, where no live one serves the queue."""
    from stepflow.core.graphs.definitions import RUNNER
    from stepflow.engine.inspect import unserved

    if unserved(RUNNER, queue, client.workers(), client.env) is None:
        yield
        return
    context.output.note("no worker is there; one works here until the end")
    command = [sys.executable, "-m", "stepflow", "worker", *options, "--log-level", "warning"]
    process = subprocess.Popen(command)
    try:
        yield
    finally:
        process.terminate()
        process.wait()
