"""Commands for people to type, in the words of a shell."""

from __future__ import annotations

import shlex


def to_type(verb: str, name: str, *operands: str, options: tuple[str, ...] = ()) -> str:
    """
    Write the command `stepflow VERB NAME OPERANDS OPTIONS` so that it works as it is typed.

    Names that people chose are quoted, and stand behind `--` where they begin like an option.
    """
    words = (name, *operands)
    if any(word.startswith("-") for word in words):
        return shlex.join(("stepflow", *verb.split(), *options, "--", *words))
    return shlex.join(("stepflow", *verb.split(), *words, *options))
