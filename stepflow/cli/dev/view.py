"""What `stepflow dev` shows: log lines above a live list of runs, or a line for each change."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import click

from stepflow.cli.look.changes import Changes
from stepflow.cli.look.words import told, under_way
from stepflow.cli.output import has_rich, jsonable, rich_table
from stepflow.cli.runs import COLUMNS, row_of
from stepflow.core.outcomes import printable
from stepflow.core.run import RunStatus
from stepflow.engine.timeline import Timeline


class View:
    """Shows the newest runs; you may call `say` from any thread."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._shown: dict[str, tuple[object, ...]] = {}
        self._changes: dict[str, Changes] = {}
        self._stack = ExitStack()
        self._live: Any = None

    def __enter__(self) -> Self:
        if sys.stdout.isatty() and not self._as_json and has_rich():
            from rich.live import Live

            self._live = self._stack.enter_context(Live(refresh_per_second=4))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)
        self._live = None

    def say(self, line: str) -> None:
        """Print a line: above the list, or to stderr where stdout is data."""
        if self._live is not None:
            self._live.console.print(line, markup=False, highlight=False)
        else:
            click.echo(line, err=self._as_json)

    def is_news(self, run: RunStatus) -> bool:
        """Whether a run has changed since it was shown."""
        return self._shown.get(run.id) != _stand(run)

    def show(self, runs: Sequence[RunStatus] | None, timelines: Mapping[str, Timeline]) -> None:
        """
        Show the newest runs; None means that Redis does not answer.

        *timelines* are those of the runs that may have gone on.
        """
        if self._live is not None:
            rows = [_row(run, timelines.get(run.id)) for run in runs or ()]
            title = (
                "Redis does not answer"
                if runs is None
                else "the newest runs"
                if rows
                else "no runs yet"
            )
            self._live.update(rich_table(COLUMNS, rows, title))
            return
        for run in reversed(runs or ()):
            timeline = timelines.get(run.id)
            if timeline is not None:
                self._tell_steps(timeline)
            if self.is_news(run):
                self._shown[run.id] = _stand(run)
                self._tell(run, timeline)

    def _tell_steps(self, timeline: Timeline) -> None:
        run_id = timeline.run.id
        for step in self._changes.setdefault(run_id, Changes()).of(timeline):
            if self._as_json:
                self._print({"run_id": run_id, "step": step})
            elif step.number is None and (not step.is_open or step.state == "retrying"):
                click.echo(printable(f"run={run_id} {told(step, datetime.now(UTC))}"))

    def _tell(self, run: RunStatus, timeline: Timeline | None) -> None:
        if self._as_json:
            self._print(run)
            return
        where = f" on {run.worker}" if run.worker and not run.is_finished else ""
        count = "" if run.is_workflow else f" step={run.step} attempt={run.attempt}"
        doing = "; ".join([] if timeline is None or run.worker else under_way(timeline))
        line = f"run={run.id} runner={run.runner}{count} {run.state}{where}"
        click.echo(printable(f"{line}: {doing}" if doing else line))

    def _print(self, value: Any) -> None:
        click.echo(json.dumps(jsonable(value), ensure_ascii=False))


def _stand(run: RunStatus) -> tuple[object, ...]:
    """Return what of a run makes news when it changes."""
    return (run.state, run.step, run.attempt, run.worker, run.generation)


def _row(run: RunStatus, timeline: Timeline | None) -> tuple[object, ...]:
    """Return a run's row in the list, with what a workflow is doing."""
    *facts, where = row_of(run)
    doing = "" if timeline is None else "; ".join(under_way(timeline))
    return (*facts, doing or where)
