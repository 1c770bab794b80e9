"""Outcomes: what a runner returns about its step, and what the runtime notes in its place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, NamedTuple

from stepflow.errors import InvalidOption, shown
from stepflow.times import seconds, unix_time

#: characters of an error's message or of a reason that are kept
LONGEST_TEXT = 10_000
_CUT = " … (cut)"
#: bytes of an error that the record of an attempt keeps
LONGEST_BRIEF = 200
_MORE = "…".encode()
#: characters of an error's message in one line
_SHORT = 300
#: C0, C1, separators of lines, and what changes the direction of text (Unicode, UAX #9)
CONTROLS = {
    code: f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"  # noqa: PLR2004
    for code in (
        *range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
    )
    if chr(code) not in "\n\t"
}  # fmt: skip
#: a frame of a traceback, as Python writes it
_FRAME = re.compile(
    r'^  File "(?P<file>[^"\n]+)", line (?P<line>\d{1,9}), in (?P<function>[^\n]+)'
    r"(?:\n    (?P<code>[^\n]*))?",
    re.MULTILINE,
)


def readable(text: object) -> str:
    """
    Turn what user code gave as a message into text that can be stored and shown.

    Longer text than LONGEST_TEXT characters is cut visibly. Never raises.
    """
    try:
        words = str(text)
    except BaseException:  # noqa: BLE001  a __str__ of user code, or an int of too many digits
        words = shown(text)
    if len(words) > LONGEST_TEXT:
        words = words[: LONGEST_TEXT - len(_CUT)] + _CUT
    return words.encode("utf-8", "backslashreplace").decode()


def printable(text: str) -> str:
    """
    Write control characters as escapes, all but line feeds and tabs.

    A terminal obeys them: they move the cursor, hide what stands there, turn text around.
    """
    return text if text.isprintable() else text.translate(CONTROLS)


class Outcome:
    """The base of what a runner may return: Continue, Succeed, Fail or Cancel."""

    __slots__ = ()

    #: what the step record calls it
    word: ClassVar[str]


@dataclass(frozen=True, slots=True)
class Continue(Outcome):
    """
    Continue the run with a next step, which gets *payload*.

    It starts after *delay* (seconds or a timedelta), at *at* (unix seconds or an aware datetime),
    or immediately. Raises InvalidOption for both at once, or for an invalid time.
    """

    word: ClassVar[str] = "continue"

    payload: Any = None
    delay: float | timedelta | None = None
    at: float | datetime | None = None

    def __post_init__(self) -> None:
        if self.delay is not None and self.at is not None:
            msg = "Continue takes delay or at, not both"
            raise InvalidOption(msg)
        if self.delay is not None or self.at is not None:
            self.due_at(0.0)  # refused here, in the runner's own traceback, not in the commit

    def due_at(self, now: float) -> float | None:
        """Return when the next step is due in unix seconds; None means now."""
        if self.delay is not None:
            return now + seconds(self.delay, "delay of Continue")
        return None if self.at is None else unix_time(self.at, "at of Continue")


@dataclass(frozen=True, slots=True)
class Succeed(Outcome):
    """End the run as succeeded, with this result."""

    word: ClassVar[str] = "succeed"

    result: Any = None


@dataclass(frozen=True, slots=True)
class Fail(Outcome):
    """End the run as failed, for this reason, without another attempt."""

    word: ClassVar[str] = "fail"

    reason: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", readable(self.reason))


@dataclass(frozen=True, slots=True)
class Cancel(Outcome):
    """End the run as cancelled, for this reason."""

    word: ClassVar[str] = "cancel"

    reason: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", readable(self.reason))


@dataclass(frozen=True, slots=True)
class ErrorFrame:
    """Where a call stood: *code* is the source of its line, empty where that is not known."""

    file: str
    line: int
    function: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """
    An error as it is stored: the name of its type, its message, its traceback.

    The traceback has the frames of your code; those of stepflow are folded, and of a long one the
    end is kept.
    """

    type: str
    message: str
    traceback: str = ""

    def brief(self) -> str:
        """Write it as `Type: message`, in LONGEST_BRIEF bytes at most."""
        text = f"{self.type}: {self.message}".encode("utf-8", "backslashreplace")
        if len(text) > LONGEST_BRIEF:
            text = text[: LONGEST_BRIEF - len(_MORE)] + _MORE
        return text.decode("utf-8", "ignore")

    @classmethod
    def of_brief(cls, text: str) -> ErrorInfo | None:
        """Read back what `brief` wrote; None for an empty text."""
        kind, _, message = text.partition(": ")
        return cls(kind, message) if text else None

    @property
    def summary(self) -> str:
        """Type and message in one line, the message cut."""
        message = " ".join(self.message.split())
        if len(message) > _SHORT:
            message = f"{message[: _SHORT - 1]}…"
        return printable(f"{self.type}: {message}" if message else self.type)

    @property
    def frames(self) -> Sequence[ErrorFrame]:
        """The frames of the traceback, the last call last."""
        return [
            ErrorFrame(found["file"], int(found["line"]), found["function"], found["code"] or "")
            for found in _FRAME.finditer(self.traceback)
        ]


@dataclass(frozen=True, slots=True)
class Park(Outcome):
    """
    The run waits and needs no worker meanwhile; made by kits, not by runners.

    It goes on at *due_at* (unix seconds), or when its inbox has had more arrivals than the *inbox*
    that this step has seen; None means not for that reason. *waits_for* says in a few words what
    it waits for.
    """

    word: ClassVar[str] = "park"

    due_at: float | None = None
    inbox: int | None = None
    waits_for: str = ""
    #: whether the run needs a cleanup before a stop from outside ends it
    needs_cleanup: bool = False
    #: the JSON schemas of the signals it waits for, by name, packed
    expects: bytes = b""
    #: the commands that it waits for, packed (`core/open_command.py`); none for a sleep alone
    commands: bytes = b""
    #: whether it knows that it was asked to stop: it waits in the course of its cleanup
    knows_stop: bool = False


@dataclass(frozen=True, slots=True)
class Yield(Outcome):
    """
    The run gives its slot to others and goes to the end of its queue.

    Made by kits, not by runners.
    """

    word: ClassVar[str] = "yield"

    #: whether it needs a cleanup, should it be asked to stop meanwhile
    needs_cleanup: bool = False


@dataclass(frozen=True, slots=True)
class Postpone(Outcome):
    """
    The step may not go on before *due_at* (unix seconds), and is begun again then.

    Made by the runtime. It counts neither as an attempt nor as a crash. *waits_for* says in a few
    words what it waits for; who moves that may wake the run before.
    """

    word: ClassVar[str] = "postponed"

    due_at: float
    waits_for: str


@dataclass(frozen=True, slots=True)
class Pause(Outcome):
    """
    The code at hand does not fit the run, which stops until somebody resumes it.

    Made by kits, not by runners. While live workers have other code, those are tried first.
    """

    word: ClassVar[str] = "pause"

    reason: str = ""
    #: what the journal has and what the code does, line by line, for the log
    diff: str = field(default="", compare=False)
    #: what becomes of the run instead of the pause, once no other code is left to try
    otherwise: Outcome | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class TryElsewhere(Outcome):
    """
    The code at hand does not fit the run, and some live worker has code that was not tried yet.

    Made by the worker. It counts neither as an attempt nor as a crash.
    """

    word: ClassVar[str] = "elsewhere"

    #: the build that is to try it next
    build: str = ""
    #: whose code was tried, packed
    tried: bytes = b""


@dataclass(frozen=True, slots=True)
class ContinueAsNew(Outcome):
    """
    The run goes on under its id, with *payload* as its input and a new history.

    Made by kits, not by runners.
    """

    word: ClassVar[str] = "restart"

    payload: Any = None
    #: how often the run was restarted, this time included
    count: int = 1


@dataclass(frozen=True, slots=True)
class CleanedUp(Outcome):
    """
    The run has done its cleanup and may end; made by kits, not by runners.

    It ends with *error*, or by its own Cancel, or, when both are None, by the stop it was asked
    for. *errors* are the compensations that failed.
    """

    word: ClassVar[str] = "last"

    error: ErrorInfo | None = None
    errors: Sequence[ErrorInfo] = ()
    #: the reason of its own Cancel
    cancelled: str | None = None


class Rest(NamedTuple):
    """Nothing of a limit is to begin, for one key or for all with None, for so many seconds."""

    limit: str
    key: str | None
    for_s: float
    #: whether the attempt that says so counts as one that failed
    is_attempt: bool = False


class Resting(NamedTuple):
    """Nothing of a limit is to begin, for one key or for all with None, until unix time *until*."""

    limit: str
    key: str | None
    until: float


@dataclass(frozen=True, slots=True)
class Raised(Outcome):
    """The runner raised an error; made by the runtime, never by a runner."""

    word: ClassVar[str] = "raised"

    error: ErrorInfo
    #: False ends the run at once (PermanentError, give_up_on, a payload that does not fit)
    retryable: bool = True
    #: seconds that the error itself asks to wait
    retry_after_s: float | None = None
    #: the limit that is used up; then no attempt counts, unless it says so
    rest: Rest | None = None


@dataclass(frozen=True, slots=True)
class Lost(Outcome):
    """The claim ran out because its worker is gone; made by recovery."""

    word: ClassVar[str] = "lost"

    why: str = "the worker that had claimed this step is gone"


@dataclass(frozen=True, slots=True)
class HandBack(Outcome):
    """The worker leaves before the step is done; it counts as no attempt and no crash."""

    word: ClassVar[str] = "back"
