"""
What a run keeps beside its record, read for people.

What cannot be read is said in words, and nothing is raised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stepflow.core.briefs import opened_brief
from stepflow.core.outcomes import ErrorInfo
from stepflow.core.run import Run, UnreadableText
from stepflow.core.tried import Trial, Tried
from stepflow.engine.spec import read_options
from stepflow.engine.tags import read_tags
from stepflow.errors import StepflowError, UndecryptableValue
from stepflow.store.calls import NO_HASH
from stepflow.store.values.codec import pack, unpack, unpack_shown


class SealedText(UnreadableText):
    """Words in place of a value that is encrypted with a key which is not here, *key_id*."""

    key_id: str = ""


class KeptData:
    """
    The second hash of a run.

    *problems* says which of its fields, and of the record's, cannot be read.
    """

    def __init__(self, data: Mapping[bytes, bytes], run: Run) -> None:
        self._data = data
        self.problems = [str(damage) for damage in run.damage]
        if data is NO_HASH:
            self.problems.append("its data is no hash")

    def value(self, name: bytes) -> Any:
        """Give a packed value, or in words that it cannot be read."""
        packed = self._data.get(name)
        if self._data is NO_HASH:
            return UnreadableText("<its data is no hash>")
        try:
            return None if packed is None else unpack_shown(packed)
        except UndecryptableValue as error:
            self._note(name, error)
            text = SealedText(f"<{error}>")
            text.key_id = error.key_id
            return text
        except StepflowError as error:
            self._note(name, error)
            return UnreadableText(f"<{error}>")

    def text(self, name: bytes) -> str | None:
        """Give text, whatever its bytes."""
        held = self._data.get(name)
        return None if held is None else opened_brief(held.decode("utf-8", "backslashreplace"))

    def error(self, name: bytes) -> ErrorInfo | None:
        """Give an error as it is kept."""
        packed = self._data.get(name)
        try:
            return None if packed is None else _error_in(unpack(packed))
        except (StepflowError, TypeError, ValueError) as error:
            self._note(name, error)
            return ErrorInfo("Unreadable", f"<{error}>")

    def errors(self, name: bytes) -> Sequence[ErrorInfo]:
        """Give a list of errors."""
        packed = self._data.get(name)
        try:
            return [] if packed is None else [_error_in(failed) for failed in unpack(packed)]
        except (StepflowError, TypeError, ValueError) as error:
            self._note(name, error)
            return [ErrorInfo("Unreadable", f"<{error}>")]

    def headers(self) -> Mapping[str, str]:
        """Give the headers that the run was submitted with."""
        try:
            return read_options(self._data.get(b"spec")).headers
        except StepflowError as error:  # damaged, or a later version's
            self._note(b"spec", error)
            return {}

    def tags(self) -> Mapping[str, str]:
        """Give the tags that the run was submitted with."""
        return read_tags(self.text(b"tags") or "")

    def parent(self) -> str | None:
        """Give the id of the run that began this one; None for a run without a parent."""
        try:
            parent = read_options(self._data.get(b"spec")).parent
        except StepflowError:  # `headers` has noted it
            return None
        return None if parent is None else parent.run_id

    def _note(self, name: bytes, error: Exception) -> None:
        if isinstance(error, UndecryptableValue):  # it says all; the bytes would say nothing
            self.problems.append(f"{name.decode()}: {error}")
            return
        held = self._data.get(name, b"")
        self.problems.append(f"field {name.decode()!r} of its data holds {held[:60]!r}")


def pack_tried(tried: Tried) -> bytes:
    """Pack whose code was tried on a run, for its data."""
    trials = [[trial.build, trial.worker, trial.problem] for trial in tried.trials]
    return pack(trials, in_clear=True)


def read_tried(packed: bytes | None) -> Tried | None:
    """Read whose code was tried; None for nobody's, and for what cannot be read."""
    if not packed:
        return None
    try:
        return Tried([Trial(*map(str, trial)) for trial in unpack(packed)])
    except (StepflowError, TypeError, ValueError):
        return None  # the run is tried everywhere once more


def _error_in(kept: Any) -> ErrorInfo:
    kind, message, *more = kept
    if isinstance(kept, str) or not all(
        isinstance(text, str) for text in (kind, message, *more[:1])
    ):
        raise TypeError("it is no error that was kept")
    return ErrorInfo(kind, message, *more[:1])
