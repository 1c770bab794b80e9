"""
Conditions on runs, in one line: `state=failed runner=order error~timeout older=1h tag.tenant=acme`.

All of them must hold. `=` is the whole text, `~` a part of it, `^=` its beginning. A text with
spaces stands in quotes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from stepflow.core.ids import check_text
from stepflow.core.run import RunState, RunStatus
from stepflow.durations import span_s
from stepflow.errors import InvalidOption, shown
from stepflow.times import unix_time

#: what a condition may be about, and the signs it may have
_SIGNS = {
    "state": "=", "runner": "= ~ ^=", "queue": "= ~ ^=", "version": "=", "id": "= ~ ^=",
    "error": "= ~ ^=", "reason": "= ~ ^=", "since": "=", "until": "=", "older": "=",
}  # fmt: skip
#: other words for them
_ALIASES = {"workflow": "runner"}
_HEADER, _TAG = "header.", "tag."
_WORD = re.compile(r"((?:header|tag)\.[^=~^]+|[a-z]+)(\^=|=|~)(.+)", re.DOTALL)
#: characters of all conditions
_LONGEST = 100_000
#: what is read of a run's data rather than of its record
_OF_DATA = ("error", "reason", _HEADER, _TAG)


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: what it is about, its sign, and the text."""

    name: str
    sign: str
    text: str

    def holds_for(self, run: RunStatus) -> bool:
        """Say whether it holds for *run*."""
        return any(self._fits(held) for held in _held(run, self.name))

    def _fits(self, held: str) -> bool:
        if self.sign == "=":
            return held == self.text
        return held.startswith(self.text) if self.sign == "^=" else self.text in held


def _held(run: RunStatus, name: str) -> Iterable[str]:
    """Give what a run holds of that name: of an error its type, and the whole of it."""
    if name.startswith(_HEADER):
        return (run.headers.get(name.removeprefix(_HEADER), ""),)
    if name.startswith(_TAG):
        return (run.tags.get(name.removeprefix(_TAG), ""),)
    if name == "error":
        error = run.error
        return () if error is None else (f"{error.type}: {error.message}", error.type)
    return (str(getattr(run, name) or ""),)


@dataclass(frozen=True, slots=True)
class Where:
    """Conditions that must all hold; *since* and *until* (unix seconds) bound a run's creation."""

    conditions: tuple[Condition, ...] = ()
    since: float | None = None
    until: float | None = None

    @classmethod
    def parse(cls, text: str, now: float) -> Where:
        """
        Read conditions; a span of time counts back from *now*, in unix seconds.

        Raises InvalidOption for a word that is no condition, with those that are, and for a text
        without any.
        """
        check_text("where", text, least=0, most=_LONGEST)
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise InvalidOption(f"{shown(text)} cannot be read: {error}") from None
        if not words:
            raise InvalidOption(f"there is no condition in {shown(text)}; {_known()}")
        conditions: list[Condition] = []
        since: float | None = None
        until: float | None = None
        for word in words:
            condition = _read(word)
            if condition.name == "since":
                since = max(since or 0.0, _moment(condition, now))
            elif condition.name in ("until", "older"):
                moment = _moment(condition, now)
                until = moment if until is None else min(until, moment)
            else:
                conditions.append(condition)
        return cls(tuple(conditions), since, until)

    def write(self) -> str:
        """Write them in one line that `parse` reads, its times as they are."""
        words = [f"{each.name}{each.sign}{each.text}" for each in self.conditions]
        words += [f"since={self.since:.6f}"] if self.since is not None else []
        words += [f"until={self.until:.6f}"] if self.until is not None else []
        return shlex.join(words)

    def value_of(self, name: str) -> str | None:
        """Return the text that *name* has to be, if one condition says so."""
        found = (c.text for c in self.conditions if (c.name, c.sign) == (name, "="))
        return next(found, None)

    @property
    def is_narrow(self) -> bool:
        """Whether it leaves any run out."""
        return bool(self.conditions or self.since is not None or self.until is not None)

    @property
    def tags(self) -> dict[str, str]:
        """The tags that a run must have, as far as conditions give all of their values."""
        return {
            each.name.removeprefix(_TAG): each.text
            for each in self.conditions
            if each.name.startswith(_TAG) and each.sign == "="
        }

    @property
    def needs_data(self) -> bool:
        """Whether a run's record alone does not tell."""
        return any(condition.name.startswith(_OF_DATA) for condition in self.conditions)

    def covers(self, created_at: float) -> bool:
        """Say whether a run that was made then may fit."""
        return (self.since is None or created_at >= self.since) and (
            self.until is None or created_at <= self.until
        )

    def holds_for(self, run: RunStatus) -> bool:
        """Say whether all of them hold for *run*."""
        created = run.created_at.timestamp() if run.created_at is not None else 0.0
        return self.covers(created) and all(each.holds_for(run) for each in self.conditions)


def _read(word: str) -> Condition:
    found = _WORD.fullmatch(word)
    name, sign, text = found.groups() if found is not None else ("", "", "")
    name = _ALIASES.get(name, name)
    if name.startswith((_HEADER, _TAG)):
        return Condition(name, sign, text)
    if name not in _SIGNS:
        raise InvalidOption(f"{shown(word)} is no condition; {_known()}")
    if sign not in _SIGNS[name].split():
        raise InvalidOption(f"{shown(word)}: write {name}{_SIGNS[name].split()[0]}...")
    if name == "state" and text not in list(RunState):
        raise InvalidOption(f"state {shown(text)} is none of {', '.join(RunState)}")
    return Condition(name, sign, text)


def _known() -> str:
    names = [f"{name}{'|'.join(signs.split())}" for name, signs in _SIGNS.items()]
    return f"write NAME=TEXT with one of {' '.join(names)} {_HEADER}KEY=|~|^= {_TAG}KEY=|~|^="


def _moment(condition: Condition, now: float) -> float:
    """Read a time: how long ago (2h), a date (UTC if it has no zone), or unix seconds."""
    text = condition.text
    if (span := span_s(text)) is not None:
        return max(0.0, now - span)  # before 1970 there was no run
    if condition.name != "older":
        if re.fullmatch(r"\d{9,}(\.\d+)?", text):
            return unix_time(float(text), condition.name)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            pass
        else:
            zoned = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
            return unix_time(zoned, condition.name)
    raise InvalidOption(
        f"{condition.name} {shown(text)} is not a time; write how long ago, "
        "such as 90s, 30m, 2h or 7d"
        + ("" if condition.name == "older" else ", or a date such as 2026-11-24T02:00")
    )
