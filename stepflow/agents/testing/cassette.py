"""`cassette("answers.jsonl")`: a model's answers from a file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from stepflow.agents.providers.model import Completion, CompletionRequest, Provider
from stepflow.agents.testing.tape import CassetteMiss, Tape, canonical
from stepflow.errors import InvalidOption, shown

if TYPE_CHECKING:
    from pydantic_ai.models import Model

_request = TypeAdapter(CompletionRequest)
_completion = TypeAdapter(Completion)

__all__ = ["Cassette", "CassetteMiss", "cassette"]


def cassette(path: str | Path, *, record: Provider | Model | None = None) -> Cassette:
    """
    Return a provider that answers from the file *path*, by what it is asked.

    Ids, times and the spacing of arguments do not matter. What the file has no answer for fails
    with CassetteMiss, which shows how the request differs from the nearest recorded one. With
    *record*, a provider or a model of pydantic-ai, that is asked instead and the answer added to
    the file. `cassette(path).model()` is the same as a model of pydantic-ai.
    """
    return Cassette(Path(path), record)


class Cassette:
    """A provider that answers from a file; see `cassette`."""

    def __init__(self, path: Path, record: Provider | Model | None) -> None:
        self._tape = Tape(path)
        self._record = record
        self.name = path.stem

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer from the file, or ask and add the answer to it."""
        asked = canonical(_request.dump_python(request, mode="json"))
        found = self._tape.find(asked)
        if found is not None:
            return _completion.validate_python(found)
        if self._record is None:
            raise self._tape.miss(asked)
        if not isinstance(self._record, Provider):
            msg = f"record of a cassette is {shown(self._record)}; a tool loop asks a Provider"
            raise InvalidOption(msg)
        answer = await self._record.complete(request)
        self._tape.add(asked, _completion.dump_python(answer, mode="json"))
        return answer

    async def stream(self, request: CompletionRequest) -> AsyncIterator[str | Completion]:
        """Give the text in one piece, then the whole."""
        answer = await self.complete(request)
        yield answer.text
        yield answer

    def model(self) -> Any:
        """Return a model of pydantic-ai that answers from the same file."""
        from stepflow.agents.testing import pydantic_ai_models  # noqa: PLC0415  needs an extra

        return pydantic_ai_models.from_tape(self._tape, self._record)
