"""`stepflow submit`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.errors import Exit, Problem
from stepflow.cli.params import DURATION, JSON, PAIR, PRIORITY
from stepflow.cli.wait import report_end, wait_for_end

if TYPE_CHECKING:
    from stepflow.cli.output import Output
    from stepflow.client import Client
    from stepflow.hooks import Webhook


@click.command("submit", short_help="Submit a run of RUNNER and print its id.")
@click.argument("runner")
@click.argument("payload", metavar="JSON", type=JSON, required=False)
@click.option(
    "--id", "run_id", metavar="ID", help="Run id; the same id and input again is the same run."
)
@click.option(
    "--header",
    "headers",
    type=PAIR,
    multiple=True,
    metavar="K=V",
    help="A header of the run; may be repeated.",
)
@click.option(
    "--tag",
    "tags",
    type=PAIR,
    multiple=True,
    metavar="K=V",
    help="A tag, by which lists find the run; may be repeated.",
)
@click.option("--queue", default="default", show_default=True, help="Queue of the run.")
@click.option(
    "--priority",
    type=PRIORITY,
    default="normal",
    show_default=True,
    help="Which runs of a queue go first: 0 to 9, or high, normal, low for 2, 5, 8.",
)
@click.option("--lane", metavar="NAME", help="Whose it is, where tenants take turns.")
@click.option(
    "--limit",
    "limits",
    type=PAIR,
    multiple=True,
    metavar="NAME=KEY",
    help="For which key a limit counts the run; may be repeated.",
)
@click.option("--singleton", metavar="KEY", help="At most one run with this key lives at a time.")
@click.option(
    "--when-taken",
    type=click.Choice(["same", "refuse", "replace"]),
    default="same",
    show_default=True,
    help="If one does: take that run, be refused, or cancel it and take its place.",
)
@click.option("--debounce", metavar="KEY", help="Submits with this key are one run.")
@click.option(
    "--wait-for-more",
    type=DURATION,
    default=5.0,
    metavar="S",
    show_default=True,
    help="It begins so long after the last of them.",
)
@click.option("--delay", type=DURATION, metavar="S", help="Start the first step after this time.")
@click.option(
    "--timeout",
    type=DURATION,
    metavar="S",
    help="Fail the run unless it ends within this time.",
)
@click.option(
    "--on-timeout",
    type=click.Choice(["undo", "end"]),
    default="undo",
    show_default=True,
    help="At its timeout: undo what it has done, or end as it stands.",
)
@click.option(
    "--webhook",
    "urls",
    multiple=True,
    metavar="URL",
    help="Call this URL when the run ends; may be repeated.",
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
@click.option("--restart", is_flag=True, help="If the run with this id has ended, start it again.")
@click.option(
    "--wait", is_flag=True, help="Wait for the end, print the result, and exit as the run did."
)
@common_options
@pass_context
def submit_command(
    context: CliContext, /, runner: str, payload: Any, wait: bool, restart: bool, **options: Any
) -> int | None:
    """Submit a run of RUNNER with JSON ("-" reads stdin) and print its id."""
    webhooks = read_webhooks(options.pop("urls"), options.pop("webhook_secret_env"))
    options |= {name: dict(options[name]) for name in ("headers", "tags", "limits")}
    _add_once(options)
    app = context.load_app()
    if app is not None:
        newest = app.registry.newest(runner)
        if newest is None:
            from stepflow.errors import UnknownRunner

            raise UnknownRunner(runner, app.registry.names)
        options["version"] = options["version"] or newest
    with context.client() as client:
        run = client.submit(
            runner,
            payload,
            webhooks=webhooks,
            on_conflict="restart" if restart else "return",
            **options,
        )
        if not run.created:
            context.output.note(f"run {run.id} was there already")
        if wait:
            if not context.json:
                context.output.note(f"run {run.id}")
            _note_no_worker(client, context.output, runner, options["queue"])
            return report_end(wait_for_end(client, run.id, None, context.output), context.output)
        context.output.said({"id": run.id, "created": run.created}, run.id)
    return None


def _note_no_worker(client: Client, output: Output, runner: str, queue: str) -> None:
    """Say at once that nobody will work the run for now, before its end is waited for."""
    from stepflow.engine.inspect import unserved

    missing = unserved(runner, queue, client.workers(), client.env)
    if missing is not None:
        more = "" if queue == "default" else f" --queue {queue}"
        output.note(f"{missing}; start one with stepflow worker package.module:app{more}")


def read_webhooks(urls: tuple[str, ...], variable: str | None) -> list[Webhook]:
    """
    Make the webhooks of a run.

    The workers read the secret themselves, so neither a shell's history nor Redis has it.
    """
    from stepflow.hooks import Webhook

    if variable is not None:
        if not urls:
            raise Problem("--webhook-secret-env is for --webhook; give the URL", Exit.USAGE)
        # checked here, too: a mistyped name would show only when the run ends
        if not os.environ.get(variable):
            raise Problem(
                f"environment variable {variable} is not set; put the webhook secret there",
                Exit.USAGE,
            )
    return [Webhook(url, secret_env=variable) for url in urls]


def _add_once(options: dict[str, Any]) -> None:
    """Turn the options of a singleton and of a debounced run into what `submit` takes."""
    when_taken, wait = options.pop("when_taken"), options.pop("wait_for_more")
    if options["singleton"] is not None:
        from stepflow.engine.once.options import Singleton

        options["singleton"] = Singleton(options["singleton"], when_taken)
    if options["debounce"] is not None:
        from stepflow.engine.once.options import Debounce

        options["debounce"] = Debounce(options["debounce"], wait)
