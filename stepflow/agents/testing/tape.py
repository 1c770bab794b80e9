"""The file of a cassette: answers by what was asked, one a line."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stepflow.errors import PermanentError, UsageError, shown

#: what differs from call to call without meaning another question
_VOLATILE = frozenset({
    "timestamp", "tool_call_id", "id", "run_id", "conversation_id", "usage", "native",
    "provider_name", "provider_url", "provider_details", "provider_response_id", "metadata",
    "model_name", "model_id", "finish_reason", "state",
})  # fmt: skip
#: lines of a difference that a message shows
_MOST_LINES = 40


class CassetteMiss(PermanentError):
    """A test asked what its cassette has no answer for; the message shows what differs."""

    def __init__(self, path: Path, difference: str) -> None:
        super().__init__(
            f"{path} has no answer for this request; record it with "
            f"cassette({path.name!r}, record=model). {difference}"
        )


class Tape:
    """
    What was asked and answered, in *path*.

    Asked the same again, it gives the answers that were recorded in their order, then the last.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._answers: dict[str, list[Any]] = {}
        self._asked: dict[str, Any] = {}
        self._given: Counter[str] = Counter()
        for line in _lines(path):
            self._keep(line["request"], line["answer"])

    def find(self, request: Any) -> Any:
        """Return the answer to *request*; None if there is none."""
        key = _hash(request)
        answers = self._answers.get(key)
        if answers is None:
            return None
        self._given[key] += 1
        return answers[min(self._given[key], len(answers)) - 1]

    def add(self, request: Any, answer: Any) -> None:
        """Record one more answer."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"request": request, "answer": answer}, ensure_ascii=False)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        self._given[self._keep(request, answer)] += 1

    def miss(self, request: Any) -> CassetteMiss:
        """Make the error for *request*, with how it differs from the nearest that there is."""
        if not self._asked:
            return CassetteMiss(self.path, "It has none at all.")
        wanted = _pretty(request)
        near = max(
            (_pretty(each) for each in self._asked.values()),
            key=lambda text: difflib.SequenceMatcher(None, text, wanted).quick_ratio(),
        )
        lines = list(
            difflib.unified_diff(
                near.splitlines(), wanted.splitlines(), "recorded", "asked", n=1, lineterm=""
            )
        )
        more = [f"... {len(lines) - _MOST_LINES} more lines"] if len(lines) > _MOST_LINES else []
        text = "\n".join([*lines[:_MOST_LINES], *more])
        return CassetteMiss(self.path, f"The nearest differs so:\n{text}")

    def _keep(self, request: Any, answer: Any) -> str:
        key = _hash(request)
        self._asked[key] = request
        self._answers.setdefault(key, []).append(answer)
        return key


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    for number, line in enumerate(text.splitlines(), 1):
        try:
            found = json.loads(line)
            yield {"request": found["request"], "answer": found["answer"]}
        except (ValueError, KeyError, TypeError):
            msg = f"{path}, line {number}, is no line of a cassette: {shown(line)}"
            raise UsageError(msg) from None


def canonical(value: Any) -> Any:
    """Return what was asked without what means nothing: ids, times, the spacing of arguments."""
    if isinstance(value, dict):
        return {
            name: _arguments(each) if name in {"arguments", "args"} else canonical(each)
            for name, each in sorted(value.items())
            if name not in _VOLATILE
        }
    return [canonical(each) for each in value] if isinstance(value, list | tuple) else value


def _arguments(text: Any) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return text


def _pretty(request: Any) -> str:
    return json.dumps(request, indent=1, ensure_ascii=False, sort_keys=True)


def _hash(request: Any) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
