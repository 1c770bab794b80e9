"""Whose code a frame is of: the user's, Python's own, a library's or ours; their traceback."""

from __future__ import annotations

import os
import sysconfig
import traceback
from collections.abc import Iterator
from functools import cache
from itertools import dropwhile, groupby
from pathlib import Path

_OURS = f"{Path(__file__).parents[2]}{os.sep}"
_PYTHONS = tuple({f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib")})


def is_ours(file: str) -> bool:
    """Whether a file is stepflow's own."""
    return file.startswith(_OURS)


@cache
def is_users(file: str) -> bool:
    """Whether a file is neither Python's own nor a library's nor ours."""
    if file.startswith("<frozen") or is_ours(file):
        return False
    is_library = "site-packages" in file or "dist-packages" in file
    return not is_library and not file.startswith(_PYTHONS)


def users_traceback(error: BaseException) -> str:
    """Write a traceback from the user's first frame on, with frames of libraries folded."""
    return "".join(_parts(traceback.TracebackException.from_exception(error)))


def _parts(one: traceback.TracebackException) -> Iterator[str]:
    if one.__cause__ is not None:
        yield from _parts(one.__cause__)
        yield "\nwhich caused:\n\n"
    elif one.__context__ is not None and not one.__suppress_context__:
        yield from _parts(one.__context__)
        yield "\nand in the handling of it:\n\n"
    frames = list(dropwhile(lambda frame: not is_users(frame.filename), one.stack))
    if frames:
        yield "Traceback (most recent call last):\n"
    for is_shown, group in groupby(frames, lambda frame: is_users(frame.filename)):
        some = list(group)
        if is_shown:
            yield from traceback.format_list(some)
        else:
            yield f"  … {len(some)} frame{'' if len(some) == 1 else 's'} of libraries\n"
    yield from one.format_exception_only()
