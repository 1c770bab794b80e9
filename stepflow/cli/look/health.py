"""`stepflow health worker` and `web`: an exit code for what starts and restarts processes."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.errors import Exit, Problem

if TYPE_CHECKING:
    from stepflow import Client
    from stepflow.engine.inspect import WorkerInfo

#: seconds that Redis, or the web server, has to answer
ANSWER_S = 3.0
_OK, _AWAY = 200, 503

_LIVE = click.option(
    "--live",
    "is_liveness",
    is_flag=True,
    help="Fail only for what a restart would help: not because Redis is away.",
)


@click.group("health", short_help="Tell an orchestrator whether workers or the web server work.")
@common_options
def health_command() -> None:
    """Tell an orchestrator, by the exit code, whether workers or the web server do their work."""


@health_command.command("worker", short_help="Do the workers on this machine work?")
@click.option("--queue", metavar="NAME", help="Look only at workers of this queue.")
@_LIVE
@common_options
@pass_context
def worker(context: CliContext, queue: str | None, *, is_liveness: bool) -> None:
    """
    Say whether the workers on this machine, or in this container, do their work.

    Exit code 0 when they take runs; 1 when none is here, or one is leaving, blocked by user code,
    or unhealthy by a resource of its app; 7 when Redis does not answer, or refuses writes. With
    --live such a worker passes, and Redis may be away: a restart would help neither.
    """
    from stepflow.errors import UnavailableError

    host = socket.gethostname()
    try:
        found = _workers_here(context, host, queue)
    except UnavailableError as error:
        if not is_liveness:
            raise
        _say(context, f"not known: {error}")
        return
    live = [each for each in found if each.is_live]
    if not live:
        with context.client(starts=False) as client:
            refused = refusal_at(client)
        if refused:
            if not is_liveness:
                raise Problem(f"Redis refuses writes: {refused}", Exit.UNREACHABLE)
            _say(context, f"not known: Redis refuses writes: {refused}")
            return
        raise Problem(f"no live worker is on host {host}")
    idle = [each for each in live if each.state in {"blocked", "leaving", "unhealthy"}]
    if idle and not is_liveness:
        raise Problem(
            "; ".join(f"worker {each.name} is {each.health or each.state}" for each in idle)
        )
    _say(context, f"{len(live)} worker{'' if len(live) == 1 else 's'} on host {host} at work")


def refusal_at(client: Client) -> str:
    """Say why Redis takes no writes, if it does not: then no worker can say that it lives."""
    from stepflow.engine.why.read_world import refusal
    from stepflow.store.connection.sync import carry_out

    return carry_out(client.connection, refusal())


def _workers_here(context: CliContext, host: str, queue: str | None) -> Sequence[WorkerInfo]:
    """Ask Redis, quickly: whoever asks has a time limit of its own."""
    from stepflow.engine.inspect import own_workers
    from stepflow.store.connection.sync import carry_out

    with context.client(starts=False, retry_for_s=ANSWER_S) as client:
        keys = client.env.keys
        found = carry_out(client.connection, own_workers(client.env, host))
    if queue is None:
        return found
    return [each for each in found if queue in {keys.split_queue(name)[0] for name in each.queues}]


@health_command.command("web", short_help="Does the web server answer?")
@click.argument("url", default="http://127.0.0.1:8170")
@_LIVE
@common_options
@pass_context
def web(context: CliContext, url: str, *, is_liveness: bool) -> None:
    """
    Say whether the web server at URL answers, and Redis answers it.

    Exit code 0 when both do, 1 when the server does not, 7 when Redis does not. With --live Redis
    may be away.
    """
    status = _status_of(url, "/health" if is_liveness else "/ready")
    if status == _AWAY:
        raise Problem(f"{url} answers, and Redis does not", Exit.UNREACHABLE)
    if status != _OK:
        raise Problem(f"{url} answers with status {status}")
    _say(context, f"{url} answers")


def _status_of(url: str, path: str) -> int:
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    try:
        with closing(kind(parts.netloc, timeout=ANSWER_S)) as connection:
            connection.request("GET", f"{parts.path.rstrip('/')}{path}")
            return connection.getresponse().status
    except (OSError, HTTPException, ValueError) as error:
        raise Problem(f"{url} does not answer: {str(error) or type(error).__name__}") from None


def _say(context: CliContext, words: str) -> None:
    context.output.said({"health": words}, words)
