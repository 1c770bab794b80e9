"""`stepflow redis status|stop|url`: the embedded server of this folder."""

from __future__ import annotations

import click

from stepflow.cli.context import Setup, common_options, pass_setup
from stepflow.cli.errors import Exit, Problem


@click.group("redis")
@common_options
def redis_command() -> None:
    """Look after the embedded server."""


@redis_command.command("status")
@common_options
@pass_setup
def status_command(setup: Setup) -> int:
    """Say whether the embedded server runs (exit 0) or not (exit 7)."""
    from stepflow import embedded

    home = setup.settings().home
    server = embedded.status(home)
    if setup.json:
        shown = (
            None
            if server is None
            else {"url": server.url, "home": str(server.home), "name": server.name}
        )
        setup.screen.data({"running": server is not None, "server": shown})
    elif server is not None:
        setup.screen.line(server.describe())
    else:
        setup.screen.line("the embedded server does not run")
    return Exit.OK if server is not None else Exit.UNREACHABLE


@redis_command.command("stop")
@common_options
@pass_setup
def stop_command(setup: Setup) -> None:
    """Shut the embedded server down, whoever uses it; its data stays."""
    from stepflow import embedded

    stopped = embedded.stop(setup.settings().home)
    if setup.json:
        setup.screen.data({"stopped": stopped})
    else:
        setup.screen.line("stopped" if stopped else "the embedded server did not run")


@redis_command.command("url")
@common_options
@pass_setup
def url_command(setup: Setup) -> None:
    """Print the running embedded server's URL, for redis-cli -s and the like."""
    from stepflow import embedded

    server = embedded.status(setup.settings().home)
    if server is None:
        raise Problem(
            "the embedded server does not run; stepflow dev, or a worker without a URL, starts it",
            Exit.UNREACHABLE,
        )
    if setup.json:
        setup.screen.data({"url": server.url})
    else:
        setup.screen.line(server.url)
