"""Verbs that take many RUNs: each is carried out by itself, the worst exit code counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from stepflow.cli.context import CliContext
from stepflow.cli.errors import Exit, Problem, failing_in_words

if TYPE_CHECKING:
    from stepflow.client import Client

F = TypeVar("F", bound=Callable[..., Any])


def runs_argument(command: F) -> F:
    """Add the argument RUN, once or several times, as *runs*."""
    return click.argument("runs", metavar="RUN...", nargs=-1, required=True)(command)


class Answer(NamedTuple):
    """What a verb answers for one run that exits with *code*: a *document* for --json."""

    document: Any
    code: int


def for_each(
    context: CliContext,
    runs: Sequence[str],
    verb: Callable[[Client, str], Any],
    *,
    starts: bool = True,
) -> int:
    """
    Do *verb* to each of *runs* and return the exit code of the worst.

    A verb returns a document, or an Answer for another exit code than 0. With --json the documents
    are printed: alone for a single run, in a list for several, where a run that could not be done
    has its id and the problem. A Problem of one run does not keep the others back, but for one of
    Redis. *starts* is as of `CliContext.client`.
    """
    with context.client(starts=starts) as client:
        if len(runs) == 1:
            document, code = _answer(verb(client, runs[0]))
            if context.json:
                context.output.data(document)
            return code
        worst, documents = 0, []
        for run in runs:
            try:
                with failing_in_words():
                    document, code = _answer(verb(client, run))
            except Problem as problem:
                problem.show()
                document, code = {"id": run, "problem": problem.message}, problem.exit_code
                if code in {Exit.UNREACHABLE, Exit.INTERRUPTED}:
                    return code
            worst = max(worst, code)
            documents.append(document)
        if context.json:
            context.output.data(documents)
        return worst


def _answer(answer: Any) -> Answer:
    return answer if isinstance(answer, Answer) else Answer(answer, Exit.OK)
