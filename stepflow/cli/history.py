"""`stepflow export`, `check` and `fork`: export a run's history, replay it, or branch off it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.errors import Exit, Problem
from stepflow.cli.params import JSON

if TYPE_CHECKING:
    from stepflow.app import CoreApp


@click.command("export", short_help="Print RUN and its journal as JSON.")
@click.argument("run")
@common_options
@pass_context
def export_command(context: CliContext, run: str) -> None:
    """
    Print RUN and its journal as JSON, for `stepflow check`.

    Webhooks and their secrets are left out.
    """
    with context.client(starts=False) as client:
        history = client.history(context.run_id(client, run))
    context.output.document(history, indent=None if context.json else 2)


@click.command("check", short_help="Replay exported histories against the workflows of APP.")
@click.argument("app_path", metavar="APP")
@click.argument(
    "paths", metavar="FILES", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)
)
@common_options
@pass_context
def check_command(context: CliContext, app_path: str, paths: tuple[Path, ...]) -> int:
    """
    Replay exported histories, JSON files or folders of them, against the workflows of APP.

    Exits with 1 when one no longer fits. It executes no step and needs no Redis: a replay stops
    where its history ends.
    """
    import asyncio

    app = context.load_app(app_path)
    assert app is not None
    files = [
        file
        for path in paths
        for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])
    ]
    if not files:
        raise Problem(
            f"no *.json in {', '.join(map(str, paths))}; write one: stepflow export RUN > a.json",
            Exit.USAGE,
        )
    found = asyncio.run(_check_all(app, files))
    if context.json:
        context.output.data(found)
    else:
        for item in found:
            context.output.line(_line(item))
    return Exit.OK if all(item["fits"] for item in found) else Exit.ERROR


async def _check_all(app: CoreApp, files: Sequence[Path]) -> list[dict[str, Any]]:
    from stepflow.errors import StepflowError
    from stepflow.kits.flow.replayer import check_history

    found = []
    for file in files:
        item: dict[str, Any] = {"file": str(file), "id": None, "runner": None}
        try:
            history = json.loads(file.read_text(encoding="utf-8"))
            item |= {"id": history["run"]["id"], "runner": history["run"]["runner"]}
            difference = await check_history(history, app.registry)
        except (StepflowError, OSError) as error:
            difference = str(error)
        except (ValueError, KeyError, TypeError, RecursionError):
            difference = "this is not a history that `stepflow export` wrote"
        found.append({**item, "fits": difference is None, "difference": difference})
    return found


def _line(item: dict[str, Any]) -> str:
    run = f"  run {item['id']} of {item['runner']}" if item["id"] else ""
    if item["fits"]:
        return f"fits     {item['file']}{run}"
    lines = str(item["difference"]).splitlines()
    return "\n".join([f"CHANGED  {item['file']}{run}", *(f"           {line}" for line in lines)])


@click.command("fork", short_help="Start a new run with the results of RUN up to STEP.")
@click.argument("run")
@click.option(
    "--at",
    required=True,
    metavar="STEP",
    help="The first step to run again, by name, place or key.",
)
@click.option(
    "--id", "new_id", metavar="ID", help="Id of the new run; the same fork again is the same run."
)
@click.option(
    "--version",
    type=click.IntRange(1),
    metavar="N",
    help="Version of the workflow; that of RUN by default.",
)
@click.option(
    "--set",
    "payload",
    metavar="JSON",
    help="Input of the new run, '-' for stdin; that of RUN by default.",
)
@common_options
@pass_context
def fork_command(
    context: CliContext, /, run: str, at: str, new_id: str | None, version: int | None, **given: Any
) -> None:
    """
    Start a new run with the results of RUN up to STEP, and print its id.

    RUN stays as it is.
    """
    with context.client() as client:
        run_id = context.run_id(client, run)
        if given["payload"] is None:
            del given["payload"]
        else:
            given["payload"] = JSON.convert(given["payload"], None, None)
        fork = client.fork(run_id, at, new_id=new_id, version=version, **given)
    if not fork.created:
        context.output.note(f"run {fork.id} was there already")
    if context.json:
        context.output.data({"id": fork.id, "created": fork.created})
    else:
        context.output.line(fork.id)
