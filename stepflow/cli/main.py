"""The `stepflow` program: the verbs, each loaded when you call it, and their common options."""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from stepflow.cli.context import common_options
from stepflow.cli.errors import Exit, Problem, failing_in_words, without_secrets
from stepflow.errors import did_you_mean, shown

#: verb -> the module of stepflow.cli that has it
VERBS = {
    "dev": "dev.command",
    "demo": "demo.command",
    "worker": "worker.command",
    "submit": "submit",
    "list": "runs",
    "show": "look.show",
    "why": "look.why",
    "watch": "look.watch",
    "output": "look.output",
    "events": "look.events",
    "result": "wait",
    "cancel": "cancel",
    "signal": "signal",
    "questions": "questions",
    "answer": "questions",
    "pause": "steering.runs",
    "resume": "signal",
    "run-now": "steering.runs",
    "fail": "cancel",
    "retry": "cancel",
    "delete": "steering.runs",
    "fork": "history",
    "archive": "archived.command",
    "export": "look.histories",
    "check": "look.histories",
    "machine": "look.machine",
    "definition": "definition.command",
    "run": "definition.run",
    "workers": "workers",
    "runners": "workers",
    "queues": "workers",
    "stats": "look.stats",
    "queue": "steering.queue",
    "bulk": "steering.bulk",
    "limits": "limits.command",
    "group": "groups.command",
    "schedules": "schedules.command",
    "breakers": "around.breakers",
    "budgets": "around.budgets",
    "shared": "around.shared",
    "hooks": "hooks",
    "doctor": "look.doctor",
    "health": "look.health",
    "redis": "server",
    "web": "web",
    "config": "config",
    "completion": "completion",
}

#: the parts of `--help`, and the verbs in them in their order
PARTS = {
    "Run": "worker submit run group result",
    "Look": "list show why watch output events questions workers runners queues hooks stats",
    "Steer": "signal answer cancel pause resume run-now retry fork fail delete queue bulk "
    "schedules limits breakers budgets shared",
    "Operate": "doctor health export archive config web redis completion",
    "Develop": "dev demo check machine definition",
}
#: what other programs call our verbs
OTHER_NAMES = {
    "breaker": "breakers", "budget": "budgets", "cache": "shared", "circuit": "breakers",
    "cron": "schedules", "enqueue": "submit", "get": "show", "groups": "group", "info": "show",
    "inspect": "show", "kill": "cancel", "logs": "watch", "ls": "list", "ps": "list",
    "replay": "check", "reset": "fork", "runs": "list", "send": "signal",
    "schedule": "schedules",
    "start": "submit", "status": "show", "stop": "cancel", "tail": "watch", "terminate": "fail",
    "unpause": "resume", "wait": "result", "work": "worker",
}  # fmt: skip

_EPILOG = """\b
Exit codes: 0 ok, 1 error, 2 usage, 3 run failed, 4 run cancelled, 5 not found,
6 timed out waiting, 7 Redis unreachable, 130 interrupted (the run goes on).

Options may stand before or after the verb. A flag beats the environment
(STEPFLOW_...), the environment beats stepflow.toml and [tool.stepflow]. RUN is a
run id or the beginning of one.
"""


#: characters of the sentence about a verb: all of it
_WHOLE = 200


class Verbs(click.Group):
    """A group that imports a command when you call it, and turns errors into sentences."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the verbs, without importing them."""
        del ctx
        return list(VERBS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs in their parts, each with its whole sentence."""
        for title, names in PARTS.items():
            commands = [(name, self.get_command(ctx, name)) for name in names.split()]
            with formatter.section(title):
                formatter.write_dl(
                    [(name, verb.get_short_help_str(_WHOLE)) for name, verb in commands if verb]
                )

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; a name that is none is refused, with the verb that is meant."""
        name = args[0]
        if name not in VERBS and not name.startswith("-"):
            near = OTHER_NAMES.get(name)
            hint = f"; did you mean {near!r}?" if near else did_you_mean(name, list(VERBS))
            ctx.fail(f"No such command {name!r}{hint or '; stepflow --help lists them'}")
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a verb and return its command."""
        del ctx
        if cmd_name not in VERBS:
            return None
        module = import_module(f"stepflow.cli.{VERBS[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse an argument that is no text: the shell passes on whatever bytes it is given."""
        for argument in args:
            try:
                argument.encode()
            except UnicodeEncodeError:
                raise Problem(
                    f"the argument {shown(argument)} is not valid text; write it in UTF-8",
                    Exit.USAGE,
                ) from None
        return super().parse_args(ctx, args)

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        """Read the options before the verb."""
        with without_secrets():
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; what it returns is the exit code."""
        with failing_in_words(), without_secrets():
            try:
                code = super().invoke(ctx)
            except click.NoSuchOption as error:
                if not error.option_name[1:2].isdigit():
                    raise
                # a value, or the id of a run
                said = f"{error.message} What begins with - stands behind --, at the end."
                raise click.UsageError(said, error.ctx) from None
        ctx.exit(int(code or 0))


@click.group(cls=Verbs, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="stepflow-rq", prog_name="stepflow")
@common_options
def cli() -> None:
    """Durable workflows on Redis: run workers, submit runs, look at them and steer them."""


def _open_closed_streams() -> None:
    """Have standard streams that were closed by who started the program read and write nothing."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  for as long as the program runs


def main() -> None:
    """Run the `stepflow` program; it escapes what the terminal's encoding lacks."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        cli.main(prog_name="stepflow")
    except SystemExit as end:
        if "stepflow.process" in sys.modules:  # else it was no worker
            sys.modules["stepflow.process"].end_worker(end.code)
        raise
