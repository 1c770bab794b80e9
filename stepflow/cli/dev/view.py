"""What `stepflow dev` shows: log lines above a live list of runs, or a line for each change."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import click

from stepflow.cli.output import jsonable, rich_table
from stepflow.cli.runs import COLUMNS, row_of
from stepflow.core.run import RunStatus


class View:
    """Shows the newest runs; you may call `say` from any thread."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._shown: dict[str, tuple[object, ...]] = {}
        self._stack = ExitStack()
        self._live: Any = None

    def __enter__(self) -> Self:
        if sys.stdout.isatty() and not self._as_json:
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

    def show(self, runs: Sequence[RunStatus] | None) -> None:
        """Show the newest runs; None means that Redis does not answer."""
        if self._live is not None:
            rows = [row_of(run) for run in runs or ()]
            title = (
                "Redis does not answer"
                if runs is None
                else f"{len(rows)} newest runs"
                if rows
                else "no runs yet"
            )
            self._live.update(rich_table(COLUMNS, rows, title))
            return
        for run in reversed(runs or ()):
            now = (run.state, run.step, run.attempt, run.worker, run.generation)
            if self._shown.get(run.id) != now:
                self._shown[run.id] = now
                where = f" on {run.worker}" if run.worker and not run.is_finished else ""
                line = (
                    f"run={run.id} runner={run.runner} step={run.step} attempt={run.attempt} "
                    f"{run.state}{where}"
                )
                click.echo(json.dumps(jsonable(run), ensure_ascii=False) if self._as_json else line)
