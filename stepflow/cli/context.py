"""
What every verb is given: the common options, and what follows from them.

That is the settings, the app, the client and the output.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from stepflow.cli.errors import Exit, Problem, is_debugging
from stepflow.cli.output import Output
from stepflow.errors import AppNotFound, StepflowError
from stepflow.store.durability.level import embedded_appendfsync

if TYPE_CHECKING:
    from stepflow.app import CoreApp
    from stepflow.client import AsyncClient, Client
    from stepflow.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

#: runs that the sentence about an ambiguous id names
_NAMED = 5


@dataclass
class CliContext:
    """The common options, wherever they stood, and what a verb makes of them."""

    json: bool = False
    redis_url: str | None = None
    app: str | None = None
    namespace: str | None = None

    @property
    def output(self) -> Output:
        """The output to print with."""
        return Output(json=self.json)

    @property
    def user(self) -> str:
        """Who gives the command, as user@host."""
        from stepflow.engine.steering.audit import this_user

        return this_user()

    def settings(self) -> Settings:
        """Read environment and files; a value that does not fit raises InvalidOption."""
        from stepflow.settings import load_settings

        return load_settings()

    def load_app(self, target: str | None = None) -> CoreApp | None:
        """Import the app of *target*, --app or STEPFLOW_APP; None when nothing names one."""
        target = target or self.app or os.environ.get("STEPFLOW_APP")
        if target is None:
            return None
        from stepflow.engine.user_code.frames import users_traceback
        from stepflow.entry import load_app

        self.settings()  # a mistake in them is found before the app runs into it
        try:
            app = load_app(target)
        except (StepflowError, KeyboardInterrupt):
            raise
        except (Exception, SystemExit) as error:  # whatever stands at the top of the user's module
            if is_debugging():
                raise
            where = _where(error)
            click.echo(users_traceback(error), err=True, nl=False)
            raise AppNotFound(target, where, "correct it and try again") from None
        if self.namespace is not None:
            app.namespace = self.namespace
        return app

    def url(self, app: CoreApp | None = None, *, starts: bool = True, asked: bool = False) -> str:
        """
        Return the URL to connect to.

        With none set it starts the embedded server, and prints that to stderr. With *asked* that is
        what the verb is for; without *starts* it only joins one that runs, or raises NoServer.
        """
        from stepflow import embedded
        from stepflow.settings import redis_url

        settings = self.settings() if app is None else app.settings
        known = self.redis_url or (redis_url(None, settings) if app is None else app.given_url)
        if known:
            return known
        wanted = settings.embedded
        if not starts:
            return embedded.join(settings.home, wanted).url
        asked = asked and wanted is None
        server = embedded.start_or_join(
            settings.home,
            True if asked else wanted,
            appendfsync=embedded_appendfsync(settings),
        )
        if server.started and (wanted or asked or embedded.is_interactive()):
            click.echo(server.describe(), err=True)
        return server.url

    def client(
        self, *, starts: bool = True, asked: bool = False, retry_for_s: float | None = None
    ) -> Client:
        """
        Make a client of the Redis and name space of the options, or else of the app.

        A verb that only looks must not start a server (*starts*), `dev` is asked to. One whose
        caller has a time limit tries for *retry_for_s* at most.
        """
        from stepflow.client import Client

        url, namespace, settings = self._place(starts=starts, asked=asked)
        if retry_for_s is not None:
            quick = {"retry_for_s": min(settings.redis.retry_for_s, retry_for_s)}
            redis = settings.redis.model_copy(update=quick)
            settings = settings.model_copy(update={"redis": redis})
        return Client(url, namespace=namespace, settings=settings)

    def async_client(self) -> AsyncClient:
        """Make the same for asyncio."""
        from stepflow.client import AsyncClient

        url, namespace, settings = self._place(starts=True, asked=False)
        return AsyncClient(url, namespace=namespace, settings=settings)

    def trigger_client(self) -> AsyncClient | None:
        """Make one that knows the app's definitions; None where no webhook begins any of them."""
        from stepflow.client import AsyncClient

        app = self.load_app()
        if app is None or app.registry.definitions is None:
            return None
        if not app.registry.definitions.webhooks:
            return None
        url, namespace, settings = self._place(starts=True, asked=False)
        return AsyncClient(url, namespace=namespace, settings=settings, registry=app.registry)

    def _place(self, *, starts: bool, asked: bool) -> tuple[str, str | None, Settings]:
        """Give the URL, the name space and the settings of the options, or else of the app."""
        app = self.load_app()
        settings = self.settings() if app is None else app.settings
        namespace = self.namespace or (None if app is None else app.namespace)
        if namespace is not None:
            _check_namespace(namespace)
        return self.url(app, starts=starts, asked=asked), namespace, settings

    def run_id(self, client: Client, given: str) -> str:
        """Return the id of the one run that *given* is, or is the beginning of."""
        from stepflow.core.ids import check_run_id
        from stepflow.engine.inspect import find_runs
        from stepflow.errors import RunNotFound
        from stepflow.store.connection.sync import carry_out

        found = carry_out(client.connection, find_runs(check_run_id(given), client.env))
        if not found:
            raise RunNotFound(given)
        if len(found) > 1:
            more = " ..." if len(found) > _NAMED else ""
            raise Problem(f"run {given!r} is ambiguous: {', '.join(found[:_NAMED])}{more}")
        return found[0]


pass_context = click.make_pass_decorator(CliContext, ensure=True)


def common_options(command: F) -> F:
    """Add the options that every verb takes; an option after the verb beats one before it."""
    options = (
        click.option("--json", is_flag=True, default=None, help="Print JSON.", **_kept("json")),
        click.option(
            "--redis-url", metavar="URL", help="Redis to connect to.", **_kept("redis_url")
        ),
        click.option(
            "--app",
            "-A",
            metavar="APP",
            help="Take Redis and runners from package.module:app.",
            **_kept("app"),
        ),
        click.option(
            "--namespace", metavar="NAME", help="Prefix of every key.", **_kept("namespace")
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _kept(field: str) -> dict[str, Any]:
    """Keep an option's value in the CliContext instead of passing it to the verb."""

    def keep(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        del param
        context = ctx.ensure_object(CliContext)
        if value is not None:
            setattr(context, field, value)
        return value

    return {"callback": keep, "expose_value": False, "is_eager": True}


def _where(error: BaseException) -> str:
    """Describe what went wrong in the app's module, and where."""
    from stepflow.engine.user_code.frames import is_users

    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if is_users(frame.filename)
    ]
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    if isinstance(error, SyntaxError):
        place = f" ({Path(error.filename or '?').name}, line {error.lineno})"
        return f"SyntaxError: {error.msg}{place}"
    text = str(error).splitlines()[0] if str(error) else "it ended the program"
    return f"importing it raised {type(error).__name__}: {text}{place}"


def _check_namespace(name: str) -> None:
    import re

    if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", name):
        raise Problem(
            f"namespace {name!r} is not valid; use 1 to 32 letters, digits, '_' or '-'", Exit.USAGE
        )
