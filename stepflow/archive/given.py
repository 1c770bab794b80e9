"""What callers give is checked before a database sees it: each database refuses in its own way."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from stepflow.archive.values import ArchivedRun
from stepflow.core.ids import check_count, check_text
from stepflow.errors import InvalidOption, shown

#: characters of a text that is looked for
_LONGEST = 100_000
#: what a column of whole numbers takes, and one that counts rows
MOST, MOST_ROWS = 2**31 - 1, 2**63 - 1


def check_some_text(what: str, text: object) -> None:
    """Raise InvalidOption unless *text* is None or what every database can look for."""
    if text is not None:
        check_text(what, text, least=0, most=_LONGEST, without="\0")


def check_some_count(what: str, number: object, *, least: int = 0, most: int = MOST) -> None:
    """Raise InvalidOption unless *number* is None or a whole number in these bounds."""
    if number is not None:
        check_count(what, number, least=least, most=most)


def check_labels(what: str, labels: object) -> None:
    """Raise InvalidOption unless *labels* map text to text."""
    if not isinstance(labels, Mapping):
        msg = f"{what} are {shown(labels)}; they are a mapping of str to str"
        raise InvalidOption(msg)
    for name, value in labels.items():
        check_text(f"a name among the {what}", name, least=0, most=_LONGEST, without="\0")
        check_text(f"{what}: {shown(name)}", value, least=0, most=_LONGEST, without="\0")


def check_run(run: object) -> ArchivedRun:
    """Return *run* if it was read from an archive, else raise InvalidOption."""
    if isinstance(run, ArchivedRun):
        return run
    msg = f"{shown(run)} is no archived run; pass one that `get` or `list` gave"
    raise InvalidOption(msg)


def check_names(what: str, names: object) -> Collection[str]:
    """Return *names* if they are texts, else raise InvalidOption."""
    if (
        isinstance(names, Collection)
        and not isinstance(names, str)
        and all(isinstance(name, str) for name in names)
    ):
        return names
    msg = f"{what} is {shown(names)}; it is a list of names"
    raise InvalidOption(msg)
