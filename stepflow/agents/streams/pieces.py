"""
The items that a model request publishes, under the topic `model`.

Each is a *piece*: what was added to one part of the answer. Its step and attempt are those of the
output item, whose resets say what is void.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict

#: the topic of what models say
MODEL = "model"

Kind = Literal["text", "thinking", "tool"]


class Piece(TypedDict, total=False):
    """
    What was added to part number *part* of an answer: text, thinking, or the arguments of a tool.

    *name* and *id* are those of a tool call, in its first piece. *end*: nothing more comes.
    """

    part: int
    kind: Kind
    add: str
    name: str
    id: str
    end: bool


def tokens_in(pieces: Sequence[Piece]) -> int:
    """Count the tokens of an answer of which *pieces* came: at least one for each that adds."""
    return sum(bool(piece.get("add")) for piece in pieces)
