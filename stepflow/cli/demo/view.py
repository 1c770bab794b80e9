"""What the demo shows: a live table at a terminal, a line for each event elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import click

from stepflow.cli.demo.pipeline import STAGES
from stepflow.cli.output import has_rich, rich_table
from stepflow.core.run import RunStatus

_COLUMNS = ("run", "what", "state", "step", "attempt", "worker", "webhook")


class View:
    """Shows the runs as they are now; `say` prints a line above them."""

    def __init__(self, kinds: Mapping[str, str]) -> None:
        self._kinds = kinds
        self._letters: dict[str, str] = {}
        self._ended: set[str] = set()
        self._stack = ExitStack()
        self._live: Any = None

    def __enter__(self) -> Self:
        if sys.stdout.isatty() and has_rich():
            from rich.live import Live

            self._live = self._stack.enter_context(Live(refresh_per_second=8))
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
        """Print a line, above the table where there is one."""
        if self._live is not None:
            self._live.console.print(line, markup=False, highlight=False)
        else:
            click.echo(line)

    def letter(self, worker: str | None) -> str:
        """Return a worker's letter: A, B, C ... in the order in which they appear."""
        return (
            self._letters.setdefault(worker, chr(ord("A") + len(self._letters))) if worker else ""
        )

    def show(self, runs: Sequence[RunStatus], webhooks: Mapping[str, Sequence[str]]) -> None:
        """Show the runs as they are now."""
        runs = sorted(runs, key=lambda run: run.id)
        if self._live is not None:
            self._live.update(rich_table(_COLUMNS, [self._row(run, webhooks) for run in runs]))
            return
        for run in runs:
            if run.is_finished and run.id not in self._ended:
                self._ended.add(run.id)
                self.say(f"  {run.id} ({self._kinds[run.id]}) {run.state}")

    def _row(self, run: RunStatus, webhooks: Mapping[str, Sequence[str]]) -> tuple[object, ...]:
        stage = f"{run.step} {STAGES[run.step]}"
        worker = "" if run.is_finished else self.letter(run.worker)
        return (
            run.id,
            self._kinds[run.id],
            run.state,
            stage,
            run.attempt,
            worker,
            "arrived" if webhooks.get(run.id) else "",
        )
