"""`stepflow redis status|stop|url`: the embedded server of this folder."""

from __future__ import annotations

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.errors import Exit, Problem


@click.group("redis")
@common_options
def redis_command() -> None:
    """Look at the embedded server of this folder, or stop it."""


@redis_command.command("status")
@common_options
@pass_context
def status_command(context: CliContext) -> int:
    """Show whether the embedded server runs (exit 0) or not (exit 7)."""
    from stepflow import embedded

    home = context.settings().home
    server = embedded.status(home)
    if context.json:
        shown = (
            None
            if server is None
            else {"url": server.url, "home": str(server.home), "name": server.name}
        )
        context.output.data({"running": server is not None, "server": shown})
    elif server is not None:
        context.output.line(server.describe())
    else:
        context.output.line("the embedded server does not run")
    return Exit.OK if server is not None else Exit.UNREACHABLE


@redis_command.command("stop")
@common_options
@pass_context
def stop_command(context: CliContext) -> None:
    """Shut the embedded server down, even if others use it; its data stays."""
    from stepflow import embedded

    stopped = embedded.stop(context.settings().home)
    context.output.said(
        {"stopped": stopped}, "stopped" if stopped else "the embedded server did not run"
    )


@redis_command.command("url")
@common_options
@pass_context
def url_command(context: CliContext) -> None:
    """Print the running embedded server's URL, for redis-cli -s and the like."""
    from stepflow import embedded

    server = embedded.status(context.settings().home)
    if server is None:
        raise Problem(
            "the embedded server does not run; stepflow dev, or a worker without a URL, starts it",
            Exit.UNREACHABLE,
        )
    context.output.said({"url": server.url}, server.url)
