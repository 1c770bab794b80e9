"""The traceback of an error of user code: the user's own frames, those of stepflow folded."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: characters of a traceback that are kept
LONGEST = 4000
#: errors of a chain, or of a group, whose frames are looked at
_MOST = 100

_PACKAGE = Path(__file__).parents[2]
#: code of the package that stands for a user's
_USERS = str(_PACKAGE / "cli" / "demo")
_OURS = f"{_PACKAGE}/"
_FOLDED, _CUT = "<stepflow>", "  … (cut)\n"


def folded(error: BaseException) -> str:
    """
    Write the traceback of *error* and of what led to it, without frames of stepflow between others.

    An error that has no other frames keeps them: it came out of stepflow itself.
    """
    whole = traceback.TracebackException.from_exception(error)
    for one in _chain(whole):
        one.stack = _Folded.of(one.stack)
    return "".join(whole.format())


def kept(error: BaseException) -> str:
    """Write the traceback as it is stored: folded, and of one that is too long the end."""
    text = folded(error)
    if len(text) <= LONGEST:
        return text
    end = text[len(_CUT) - LONGEST :]
    return _CUT + (end.partition("\n")[2] or end)


def _chain(
    whole: traceback.TracebackException,
) -> Iterator[traceback.TracebackException]:
    """Give an error and those that led to it or are in it, each once."""
    todo: list[traceback.TracebackException | None] = [whole]
    for _ in range(_MOST):
        if not todo:
            return
        one = todo.pop()
        if one is not None:
            yield one
            todo += [one.__cause__, one.__context__, *(one.exceptions or ())]


class _Folded(traceback.StackSummary):
    """Frames, in which one stands for all frames of stepflow in a row."""

    @classmethod
    def of(cls, stack: traceback.StackSummary) -> traceback.StackSummary:
        frames = cls()
        for frame in stack:
            if not _is_ours(frame):
                frames.append(frame)
            elif frames and frames[-1].filename == _FOLDED:
                frames[-1] = _fold(int(frames[-1].name) + 1)
            else:
                frames.append(_fold(1))
        return frames if any(frame.filename != _FOLDED for frame in frames) else stack

    def format_frame_summary(self, frame_summary: traceback.FrameSummary, **options: Any) -> str:
        # Python 3.13 hands over *options* of its own, such as colorize; 3.11 and 3.12 have none
        if frame_summary.filename != _FOLDED:
            return super().format_frame_summary(frame_summary, **options)
        count = int(frame_summary.name)
        return f"  … {count} frame{'' if count == 1 else 's'} of stepflow\n"


def _fold(count: int) -> traceback.FrameSummary:
    return traceback.FrameSummary(_FOLDED, None, str(count), lookup_line=False, line="")


def _is_ours(frame: traceback.FrameSummary) -> bool:
    return frame.filename.startswith(_OURS) and not frame.filename.startswith(_USERS)
