"""
What every verb is given.

The common options, and through them settings, app, client and ways to print.
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
from stepflow.cli.output import Screen
from stepflow.errors import AppNotFound, StepflowError

if TYPE_CHECKING:
    from stepflow.app import Stepflow
    from stepflow.client import Client
    from stepflow.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Setup:
    """The common options as they came, before or after the verb."""

    json: bool = False
    redis_url: str | None = None
    app: str | None = None
    namespace: str | None = None

    @property
    def screen(self) -> Screen:
        """The way to print."""
        return Screen(json=self.json)

    def settings(self) -> Settings:
        """Read environment and files; a value that does not fit ends the command in words."""
        from stepflow.settings import load_settings

        return load_settings()

    def load_app(self, target: str | None = None) -> Stepflow | None:
        """Give the app of *target*, of --app or of STEPFLOW_APP; None when nothing names one."""
        target = target or self.app or os.environ.get("STEPFLOW_APP")
        if target is None:
            return None
        from stepflow.entry import load_app

        settings = self.settings()
        del settings
        try:
            app = load_app(target)
        except (StepflowError, KeyboardInterrupt):
            raise
        except (Exception, SystemExit) as error:  # whatever stands at the top of the user's module
            if is_debugging():
                raise
            raise AppNotFound(target, _where(error)) from None
        if self.namespace is not None:
            app.namespace = self.namespace
        return app

    def url(self, app: Stepflow | None = None) -> str:
        """
        Give the URL to connect to, starting the embedded server when there is none, and saying so
        once.
        """
        from stepflow import embedded
        from stepflow.client import resolve

        settings = self.settings() if app is None else app.settings
        was_up = self.redis_url or embedded.status(settings.home)
        url = self.redis_url or (resolve(None, settings) if app is None else app.url)
        if not was_up and (server := embedded.status(settings.home)) and server.url == url:
            click.echo(f"embedded {server.name} (started), data in {server.home}", err=True)
        return url

    def client(self) -> Client:
        """
        Give a client of the Redis and name space at hand.

        Those of the app, when one is named.
        """
        from stepflow.client import Client

        app = self.load_app()
        settings = self.settings() if app is None else app.settings
        namespace = self.namespace or (None if app is None else app.namespace)
        if namespace is not None:
            _check_namespace(namespace)
        return Client(self.url(app), namespace=namespace, settings=settings)

    def run_id(self, client: Client, given: str) -> str:
        """Give the one run whose id is *given* or begins with it."""
        from stepflow.core.ids import check_run_id
        from stepflow.engine.inspect import find_runs
        from stepflow.errors import RunNotFound
        from stepflow.store.connection.sync import carry_out

        found = carry_out(client.link, find_runs(check_run_id(given), client.env))
        if not found:
            raise RunNotFound(given)
        if len(found) > 1:
            raise Problem(
                f"run {given!r} is ambiguous: {', '.join(found[:5])}{' ...' if len(found) > 5 else ''}"
            )  # noqa: PLR2004
        return found[0]


pass_setup = click.make_pass_decorator(Setup, ensure=True)


def common_options(command: F) -> F:
    """Add the options that every verb takes; those after the verb beat those before it."""
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
    """Have an option's value kept in the Setup rather than handed to the verb."""

    def keep(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        del param
        setup = ctx.ensure_object(Setup)
        if value is not None:
            setattr(setup, field, value)
        return value

    return {"callback": keep, "expose_value": False, "is_eager": True}


def _where(error: BaseException) -> str:
    """Say what went wrong in the user's module, and where."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<")
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
