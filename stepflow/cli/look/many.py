"""Verbs that take many RUNs: each is carried out by itself, the worst exit code counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from stepflow.cli.context import CliContext
from stepflow.cli.errors import Problem, failing_in_words

if TYPE_CHECKING:
    from stepflow.client import Client

F = TypeVar("F", bound=Callable[..., Any])


def runs_argument(command: F) -> F:
    """Add the argument RUN, once or several times, as *runs*."""
    return click.argument("runs", metavar="RUN...", nargs=-1, required=True)(command)


def for_each(context: CliContext, runs: Sequence[str], verb: Callable[[Client, str], Any]) -> int:
    """
    Do *verb* to each of *runs* and return the exit code of the worst.

    With --json what it returned is printed: alone for a single run, in a list for several, where a
    run that could not be done has its id and the error. A Problem of one run does not keep the
    others back.
    """
    with context.client(starts=False) as client:
        if len(runs) == 1:
            answer = verb(client, runs[0])
            if context.json:
                context.output.data(answer)
            return 0
        worst, answers = 0, []
        for run in runs:
            try:
                with failing_in_words():
                    answers.append(verb(client, run))
            except Problem as problem:
                worst = max(worst, problem.exit_code)
                problem.show()
                answers.append({"id": run, "problem": problem.message})
        if context.json:
            context.output.data(answers)
        return worst
