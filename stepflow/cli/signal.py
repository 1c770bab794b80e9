"""`stepflow signal` and `resume`: for runs that wait for somebody."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.errors import Exit, Problem
from stepflow.cli.look.many import for_each
from stepflow.cli.params import JSON
from stepflow.cli.steering.where import do_to_many, many_of, where_options

if TYPE_CHECKING:
    from stepflow.client import Client
    from stepflow.core.run import RunStatus
    from stepflow.engine.signal import Keep
    from stepflow.engine.spec import RunSpec

#: paused runs read at once when many are resumed
PAGE = 200
#: words of a signal at most, its run left out, and one more
_WORDS = 3


@click.command("signal", short_help="Send RUN a signal.")
@click.argument("words", metavar="RUN NAME [JSON]", nargs=-1)
@where_options
@click.option("--dedup", metavar="ID", help="A second signal with the same ID changes nothing.")
@click.option(
    "--keep",
    type=click.Choice(["all", "latest"]),
    default="all",
    show_default=True,
    help="latest: take the place of those of that NAME that the run has not taken.",
)
@click.option("--start", metavar="RUNNER", help="If there is no RUN, submit one of RUNNER.")
@click.option("--input", "given", metavar="JSON", type=JSON, help="With --start: its input.")
@click.option("--restart", is_flag=True, help="With --start: if RUN has ended, start it again.")
@common_options
@pass_context
def signal_command(
    context: CliContext, /, words: tuple[str, ...], dedup: str | None, keep: Keep, **options: Any
) -> int | None:
    """
    Send RUN the signal NAME; it stays in the mailbox until the run waits for it.

    With --where leave RUN out: workers send it to all live runs that fit, once each. With --start
    the run need not be there: it is submitted, in one write with its signal.
    """
    is_many = options["where"] is not None
    if not 0 < len(words) - (not is_many) < _WORDS:
        raise Problem("name a RUN, or give --where, then NAME and perhaps JSON", Exit.USAGE)
    run, name, *more = ("", *words) if is_many else words
    payload = JSON.convert(more[0] if more else "null", None, None)
    start = _start_of(run, options)
    if is_many and (start is not None or keep != "all"):
        raise Problem("--keep and --start are for one RUN; leave --where out", Exit.USAGE)
    if (many := many_of([run] if run else [], options)) is not None:
        return do_to_many(context, "signal", many, signal=name, payload=payload)
    with context.client() as client:
        run_id = context.run_id(client, run) if start is None else run
        answer = client.signal(run_id, name, payload, dedup=dedup, keep=keep, start=start)
        context.output.said(
            {"id": run_id, "signal": name, "answer": answer},
            f"signal {name} for run {run_id}: {answer}",
        )
    return None


def _start_of(run: str, options: dict[str, Any]) -> RunSpec | None:
    """Make the run to start, if one is to be; the options of that are taken out of *options*."""
    from stepflow.engine.spec import RunSpec

    runner, given, restart = (options.pop(name) for name in ("start", "given", "restart"))
    if runner is None:
        if given is not None or restart:
            raise Problem("--input and --restart belong to --start RUNNER", Exit.USAGE)
        return None
    return RunSpec(runner, given, run_id=run, on_conflict="restart" if restart else "return")


@click.command("resume", short_help="Let paused RUNs continue.")
@click.argument("runs", metavar="[RUN...]", nargs=-1)
@click.option("--runner", metavar="NAME", help="With --all: the paused runs of this runner.")
@click.option("--all", "is_all", is_flag=True, help="All paused runs, or those of --runner.")
@where_options
@common_options
@pass_context
def resume_command(
    context: CliContext,
    /,
    runs: tuple[str, ...],
    runner: str | None,
    is_all: bool,
    **options: Any,
) -> int:
    """
    Let paused RUNs continue at the step where they stopped.

    --where takes the paused runs that fit, such as 'workflow=order reason~code', at once; with
    --rate or --yes workers do it, as a bulk. Safe to repeat.
    """
    where = options["where"]
    if (where is not None or is_all) == bool(runs) or (runner and not is_all):
        raise Problem("name RUNs, or give --where, --all or --runner NAME --all", Exit.USAGE)
    if where is not None and (options["rate"] or options["dry_run"] or options["yes"]):
        many = many_of((), options)
        assert many is not None
        return do_to_many(context, "resume", many)
    if not runs:
        return _resume_many(context, runner, where)

    def resume(client: Client, run: str) -> RunStatus | None:
        run_id = context.run_id(client, run)
        client.resume(run_id)
        if not context.json:
            context.output.line(f"run {run_id} goes on")
        return client.status(run_id) if context.json else None

    return for_each(context, runs, resume)


def _resume_many(context: CliContext, runner: str | None, where: str | None) -> int:
    """Resume all paused runs that fit, a page at a time, but those that others have resumed."""
    from stepflow.engine.steering.where import Where
    from stepflow.errors import NotResumable, RunNotFound, UnreadableRecord

    resumed: list[str] = []
    problems: list[dict[str, str]] = []
    conditions = Where() if where is None else Where.parse(where, time.time())
    runner = runner or conditions.value_of("runner")
    with context.client() as client:
        cursor = None
        while True:
            page = client.list(state="paused", runner=runner, limit=PAGE, cursor=cursor)
            for run in filter(conditions.holds_for, page.runs):
                try:
                    client.resume(run.id)
                except (NotResumable, RunNotFound):
                    continue  # somebody else was there first
                except UnreadableRecord as error:
                    problems.append({"id": run.id, "problem": str(error)})
                else:
                    resumed.append(run.id)
            cursor = page.cursor
            if cursor is None:
                break
    if context.json:
        context.output.data({"resumed": resumed, "problems": problems})
    else:
        for problem in problems:
            context.output.note(problem["problem"])
        context.output.line(f"{len(resumed)} paused runs go on")
    return Exit.ERROR if problems else Exit.OK
