"""`stepflow submit`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from stepflow.cli.context import Setup, common_options, pass_setup
from stepflow.cli.errors import Exit, Problem
from stepflow.cli.params import DURATION, JSON, PAIR
from stepflow.cli.wait import report_end, wait_for_end

if TYPE_CHECKING:
    from stepflow.hooks import Webhook


@click.command("submit")
@click.argument("runner")
@click.argument("payload", metavar="JSON", type=JSON, required=False)
@click.option(
    "--id", "run_id", metavar="ID", help="Run id; the same id and input again is the same run."
)
@click.option(
    "--header", "headers", type=PAIR, multiple=True, metavar="K=V", help="Header; may be repeated."
)
@click.option("--queue", default="default", show_default=True)
@click.option(
    "--priority", type=click.Choice(["high", "normal", "low"]), default="normal", show_default=True
)
@click.option("--delay", type=DURATION, metavar="S", help="Not before so long from now.")
@click.option(
    "--timeout",
    type=DURATION,
    metavar="S",
    help="The run fails when it has not ended so long after submit.",
)
@click.option(
    "--webhook",
    "urls",
    multiple=True,
    metavar="URL",
    help="Called at the run's end; may be repeated.",
)
@click.option(
    "--webhook-secret-env",
    metavar="VAR",
    help="Variable, here and in the workers' environment, that holds the secret.",
)
@click.option(
    "--version",
    type=click.IntRange(1),
    metavar="N",
    help="Version of the workflow; the newest by default.",
)
@click.option("--restart", is_flag=True, help="Start a run of that id anew when it has ended.")
@click.option(
    "--wait", is_flag=True, help="Wait for the end, print the result, and exit as the run did."
)
@common_options
@pass_setup
def submit_command(
    setup: Setup, /, runner: str, payload: Any, wait: bool, restart: bool, **given: Any
) -> int | None:
    """Submit a run of RUNNER with JSON ("-" reads stdin) and print its id."""
    webhooks = read_webhooks(given.pop("urls"), given.pop("webhook_secret_env"))
    given["headers"] = dict(given["headers"])
    app = setup.load_app()
    if app is not None:
        newest = app.registry.newest(runner)
        if newest is None:
            from stepflow.errors import UnknownRunner

            raise UnknownRunner(runner, app.registry.names)
        given["version"] = given["version"] or newest
    with setup.client() as client:
        run = client.submit(
            runner,
            payload,
            webhooks=webhooks,
            on_conflict="restart" if restart else "return",
            **given,
        )
        if not run.created:
            setup.screen.note(f"run {run.id} was there already")
        if wait:
            if not setup.json:
                setup.screen.note(f"run {run.id}")
            return report_end(wait_for_end(client, run.id, None, setup.screen), setup.screen)
        if setup.json:
            setup.screen.data({"id": run.id, "created": run.created})
        else:
            setup.screen.line(run.id)
    return None


def read_webhooks(urls: tuple[str, ...], variable: str | None) -> list[Webhook]:
    """
    Make the webhooks.

    Their secret is read by the workers, so that it stands neither in a history nor in Redis.
    """
    from stepflow.hooks import Webhook

    if variable is not None:
        if not urls:
            raise Problem("--webhook-secret-env is for --webhook; give the URL", Exit.USAGE)
        if not os.environ.get(
            variable
        ):  # here, too, for a mistyped name would be found at the run's end only
            raise Problem(
                f"environment variable {variable} is not set; put the webhook secret there",
                Exit.USAGE,
            )
    return [Webhook(url, secret_env=variable) for url in urls]
