"""`stepflow web`: serve the dashboard and the HTTP API."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.errors import Exit, Problem

if TYPE_CHECKING:
    from stepflow.web.access import Access

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("web", short_help="Serve the dashboard and the HTTP API.")
@click.argument("app_path", metavar="[APP]", required=False)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8170, show_default=True, help="Port."
)
@click.option(
    "--token-file", type=_FILE, metavar="FILE", help="Tokens that may do everything, one a line."
)
@click.option("--read-token-file", type=_FILE, metavar="FILE", help="Tokens that may only look.")
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="A host name that the server goes by; may be repeated.",
)
@click.option("--leave-at-eof", is_flag=True, hidden=True, help="Leave when stdin is closed.")
@common_options
@pass_context
def web_command(
    context: CliContext,
    /,
    app_path: str | None,
    host: str,
    port: int,
    token_file: Path | None,
    read_token_file: Path | None,
    hosts: tuple[str, ...],
    leave_at_eof: bool,
) -> None:
    """
    Serve the dashboard and the HTTP API of the Redis of APP, or of the options.

    A token file has a token in each line, or a name and a token. Without one everybody on this
    machine may do everything, and the server listens at no other address. The dashboard is at /ui/;
    /openapi.json describes the API. Webhooks that begin definitions of APP are taken at /triggers/.
    """
    from stepflow.web.access import LOOPBACK
    from stepflow.web.mount import app as make_api
    from stepflow.web.server import is_loopback, listen, serve

    if app_path is not None:
        context.app = app_path
    access = _access(token_file, read_token_file, is_local=is_loopback(host))
    client, triggers = context.async_client(), context.trigger_client()
    try:
        sock = listen(host, port)
    except OSError as error:
        raise Problem(f"cannot listen at {host} port {port}: {error.strerror}") from None
    api = make_api(
        client,
        access=access,
        hosts={name.lower() for name in (*LOOPBACK, host, *hosts)},
        closes=True,
        triggers=triggers,
    )
    where = f"[{host}]" if ":" in host else host
    url = f"http://{where}:{sock.getsockname()[1]}"

    def say() -> None:
        if context.json:
            places = {} if triggers is None else {"triggers": f"{url}/triggers/"}
            context.output.data({"url": url, "dashboard": f"{url}/ui/", **places})
        else:
            more = "" if triggers is None else f", webhooks of definitions go to {url}/triggers/"
            context.output.line(f"stepflow listens at {url}: the dashboard is {url}/ui/{more}")

    if leave_at_eof:
        threading.Thread(target=_leave_at_eof, daemon=True).start()
    serve(api, sock, ready=say, leaving=api.state.end_streams)


def _leave_at_eof() -> None:
    """Leave as by SIGTERM once stdin ends: whoever started this process is gone."""
    with suppress(OSError):
        while os.read(0, 4096):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


def _access(tokens: Path | None, read_tokens: Path | None, *, is_local: bool) -> Access:
    """Say who may do what; without tokens everybody may do everything, on this machine alone."""
    from stepflow.web.access import Tokens, everything
    from stepflow.web.access import read_tokens as read

    if tokens is None and read_tokens is None:
        if not is_local:
            raise Problem(
                "whoever reaches this address could do everything: give --token-file or "
                "--read-token-file, or listen at 127.0.0.1",
                Exit.USAGE,
            )
        return everything
    return Tokens(read(tokens), read(read_tokens))
