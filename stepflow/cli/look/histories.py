"""`stepflow export` and `check`: histories out of Redis, and whether code carries them on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.errors import Exit, Problem
from stepflow.cli.look.pieces import pieces

if TYPE_CHECKING:
    from stepflow.app import CoreApp
    from stepflow.client import Client

F = TypeVar("F", bound=Callable[..., Any])

#: runs of each workflow that `check --live` looks at
SAMPLE = 100
#: runs read in one page
PAGE = 100


def _choice(command: F) -> F:
    """Add the options that choose among the runs in Redis."""
    from stepflow.core.run import RunState

    options = (
        click.option("--runner", metavar="NAME", help="Only runs of this runner."),
        click.option(
            "--state",
            type=click.Choice([str(state) for state in RunState]),
            help="Only runs in this state.",
        ),
        click.option(
            "--sample",
            type=click.IntRange(1),
            metavar="N",
            help=f"The newest N runs at most (of each workflow for check: {SAMPLE}).",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command("export", short_help="Print RUN, or many runs, and their journals as JSON.")
@click.argument("run", required=False)
@_choice
@click.option("--where", metavar="CONDITIONS", help="Only runs that fit: 'error~timeout older=1h'.")
@click.option(
    "--whole", "is_whole", is_flag=True, help="Also tags, steps, variables, mailbox, output, hooks."
)
@click.option(
    "--redact", "keys", multiple=True, metavar="KEY", help="Blank the values under KEY; repeatable."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Write a file for each run instead of JSON lines.",
)
@click.option(
    "--jsonl", "as_lines", is_flag=True, help="Print archived steps, a line each, as a data set."
)
@click.option(
    "--with-errors", is_flag=True, help="With --jsonl: also those that failed or gave nothing."
)
@common_options
@pass_context
def export_command(
    context: CliContext,
    run: str | None,
    runner: str | None,
    state: str | None,
    sample: int | None,
    where: str | None,
    is_whole: bool,
    keys: tuple[str, ...],
    out: Path | None,
    as_lines: bool,
    with_errors: bool,
) -> None:
    """
    Print RUN and its journal as JSON, for `stepflow check`.

    With --whole it prints all that is kept of RUN, a part at a time. Without RUN, with --runner,
    --state, --where or --sample, it prints many, a line of JSON for each, newest first. Webhooks
    and their secrets are left out. What --redact blanks keeps its type, so the history still
    replays, unless the code takes another way by such a value. With --jsonl it prints the steps of
    archived runs instead, a line of JSON for each: input, output and what is known of them.
    """
    from stepflow.engine.history import redact

    if as_lines:
        _print_lines(context, run, runner, state, where, keys, with_errors=with_errors)
        return
    chooses = bool(runner or state or sample or where)
    if chooses == (run is not None):
        msg = "name a RUN, or choose many by --runner, --state, --where or --sample"
        raise Problem(msg, Exit.USAGE)
    if is_whole and (run is None or out is not None):
        raise Problem("--whole prints one RUN, and does not go with --out", Exit.USAGE)
    with context.client(starts=False) as client:
        if run is not None and is_whole:
            parts = (redact(part, keys) for part in client.export(context.run_id(client, run)))
            context.output.pieces(pieces(parts, context.output.written))
            return
        if run is not None:
            found = iter([client.history(context.run_id(client, run))])
        else:
            found = _histories(client, runner, state, sample, where=where)
        count = 0
        for history in found:
            count += 1
            document = redact(history, keys) if keys else history
            if out is not None:
                _write(out, document)
            else:
                is_alone = run is not None and not context.json
                context.output.document(document, indent=2 if is_alone else None)
    if out is not None:
        context.output.note(f"{count} histories written to {out}")
    elif not count:
        context.output.note("no such runs")


def _print_lines(
    context: CliContext,
    run: str | None,
    runner: str | None,
    state: str | None,
    where: str | None,
    keys: Sequence[str],
    *,
    with_errors: bool,
) -> None:
    """Print archived steps as lines of a data set."""
    given = {"run_id": run, "runner": runner, "state": state, "where": where}
    chosen: Any = {name: each for name, each in given.items() if each is not None}
    with context.client(starts=False) as client:
        for line in client.archive.export(with_errors=with_errors, redact=keys, **chosen):
            context.output.document(line, indent=None)


def _write(folder: Path, document: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{document['run']['id']}.json"
    path.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _histories(
    client: Client,
    runner: str | None,
    state: str | None,
    sample: int | None,
    problems: Callable[[str, str], None] | None = None,
    *,
    where: str | None = None,
) -> Iterator[dict[str, Any]]:
    """
    Read the histories of the newest runs, a page of runs at a time.

    *problems* is told of runs that cannot be read; without it the error is raised.
    """
    from stepflow.errors import RunNotFound, UnreadableRecord

    left, cursor = sample, None
    while left is None or left > 0:
        limit = PAGE if left is None else min(PAGE, left)
        page = client.list(state=state, runner=runner, where=where, limit=limit, cursor=cursor)
        for run in page.runs:
            try:
                yield client.history(run.id)
            except RunNotFound:  # it has expired meanwhile
                continue
            except UnreadableRecord as error:
                if problems is None:
                    raise
                problems(run.id, str(error))
        left = None if left is None else left - len(page.runs)
        cursor = page.cursor
        if cursor is None:
            return


@click.command("check", short_help="Replay histories, or the runs in Redis, against APP.")
@click.argument("app_path", metavar="APP")
@click.argument(
    "paths", metavar="[FILES...]", nargs=-1, type=click.Path(exists=True, path_type=Path)
)
@click.option("--live", "is_live", is_flag=True, help="Check the runs in APP's Redis.")
@_choice
@common_options
@pass_context
def check_command(
    context: CliContext,
    app_path: str,
    paths: tuple[Path, ...],
    is_live: bool,
    runner: str | None,
    state: str | None,
    sample: int | None,
) -> int:
    """
    Replay exported histories against the workflows of APP: JSON files, JSON lines, or folders.

    With --live it replays the newest runs in APP's Redis instead, live and ended, and only reads
    there. Exits with 1 when one no longer fits. It executes no step: a replay stops where its
    history ends.
    """
    import asyncio

    if is_live == bool(paths) or ((runner or state or sample) and not is_live):
        raise Problem(
            "name FILES, or give --live, which --runner, --state and --sample go with", Exit.USAGE
        )
    app = context.load_app(app_path)
    assert app is not None
    if is_live:
        context.app = app_path
        found = asyncio.run(_check_live(context, app, runner, state, sample or SAMPLE))
    else:
        found = asyncio.run(_check_files(app, _files(paths)))
    if context.json:
        context.output.data(found)
    else:
        misfits = [item for item in found if not item["fits"]]
        for item in misfits if is_live else found:
            context.output.line(_line(item))
        if is_live:
            context.output.line(f"{len(found) - len(misfits)} of {len(found)} runs fit")
    return Exit.OK if all(item["fits"] for item in found) else Exit.ERROR


def _files(paths: Sequence[Path]) -> list[Path]:
    files = [
        file
        for path in paths
        for file in (
            sorted([*path.glob("*.json"), *path.glob("*.jsonl")]) if path.is_dir() else [path]
        )
    ]
    if not files:
        raise Problem(
            f"no *.json in {', '.join(map(str, paths))}; write one: stepflow export RUN > a.json",
            Exit.USAGE,
        )
    return files


async def _check_files(app: CoreApp, files: Sequence[Path]) -> list[dict[str, Any]]:
    found = []
    for file in files:
        item: dict[str, Any] = {"file": str(file), "id": None, "runner": None}
        try:
            text = file.read_text(encoding="utf-8")
            lines = text.splitlines() if file.suffix == ".jsonl" else [text]
        except (OSError, ValueError) as error:
            found.append({**item, "fits": False, "difference": str(error)})
            continue
        found += [await _check_text(app, item, line) for line in lines if line.strip()]
    return found


async def _check_text(app: CoreApp, item: dict[str, Any], text: str) -> dict[str, Any]:
    try:
        history = json.loads(text)
        item = item | {"id": history["run"]["id"], "runner": history["run"]["runner"]}
    except (ValueError, KeyError, TypeError, RecursionError):
        difference: str | None = "this is not a history that `stepflow export` wrote"
    else:
        difference = await _difference(app, history)
    return {**item, "fits": difference is None, "difference": difference}


async def _check_live(
    context: CliContext, app: CoreApp, runner: str | None, state: str | None, sample: int
) -> list[dict[str, Any]]:
    """Check the newest runs of each workflow of the app, or of one *runner*."""
    from stepflow.core.run import ENDS

    found: list[dict[str, Any]] = []

    def cannot_read(run_id: str, problem: str) -> None:
        found.append({"id": run_id, "runner": name, "fits": False, "difference": problem})

    with context.client(starts=False) as client:
        for name in [runner] if runner else _workflows(app):
            for history in _histories(client, name, state, sample, cannot_read):
                run = history["run"]
                is_known = _knows(app, run["runner"], run["version"])
                if run["state"] in ENDS and not is_known:
                    continue  # nobody will carry it on
                difference = await _difference(app, history)
                item = {"id": run["id"], "runner": run["runner"]}
                found.append({**item, "fits": difference is None, "difference": difference})
    return found


def _workflows(app: CoreApp) -> list[str]:
    """Name what has a history: the workflows of the app, whatever their versions."""
    named = (entry.name for entry in app.registry.runners.values() if entry.version is not None)
    return list(dict.fromkeys(named))


def _knows(app: CoreApp, runner: str, version: int) -> bool:
    from stepflow.core.ids import runner_key

    return runner_key(runner, version) in app.registry.runners


async def _difference(app: CoreApp, history: dict[str, Any]) -> str | None:
    """Say in words how a history does not fit; None when it does."""
    from stepflow.errors import StepflowError
    from stepflow.kits.flow.replayer import check_history

    try:
        return await check_history(history, app.registry)
    except StepflowError as error:
        return str(error)


def _line(item: dict[str, Any]) -> str:
    run = f"run {item['id']} of {item['runner']}" if item["id"] else ""
    what = "  ".join(filter(None, (item.get("file"), run)))
    if item["fits"]:
        return f"fits     {what}"
    lines = str(item["difference"]).splitlines()
    return "\n".join([f"CHANGED  {what}", *(f"           {line}" for line in lines)])
