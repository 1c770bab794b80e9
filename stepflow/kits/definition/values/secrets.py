"""
Values of the environment: put in where a step runs, and taken out of all that leaves it.

A value that comes back, in an answer or an error, is replaced by `***`, also as URLs, JSON and
base64 write it.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from stepflow.errors import PermanentError, StepError, TransientError

#: what stands for a value
HIDDEN = "***"


def read_variables(names: Iterable[str], allowed: Collection[str]) -> dict[str, str]:
    """Read variables of this worker's environment; raises PermanentError for what it may not."""
    found: dict[str, str] = {}
    for name in names:
        if name not in allowed:
            msg = (
                f"this worker lets no definition read {name} of its environment; allow it by "
                f"app.definitions(env=[{name!r}])"
            )
            raise PermanentError(msg)
        if name not in os.environ:
            msg = f"{name} is not set in this worker's environment; set it, and retry the run"
            raise PermanentError(msg)
        found[name] = os.environ[name]
    return found


class Hiding:
    """Takes the values of *variables* out of results and errors."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        forms = {form for value in variables.values() if value for form in _forms(value)}
        #: the longest first: one may be a part of another
        self._forms = sorted(forms, key=len, reverse=True)

    def text(self, text: str) -> str:
        """Give *text* without them."""
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return text

    def value(self, value: Any) -> Any:
        """Give *value* without them, in its texts, keys and numbers."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.value(key): self.value(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(each) for each in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value if self.text(str(value)) == str(value) else HIDDEN
        return self.text(value.decode("latin-1")) if isinstance(value, bytes) else value

    def error(self, error: Exception) -> Exception:
        """Make an error of the same name, and the same consequences, whose text has none."""
        text, data = self.text(str(error)), self.value(_data_of(error))
        if isinstance(error, TransientError):
            return TransientError(text, retry_after=error.retry_after, data=data)
        if isinstance(error, PermanentError):
            return PermanentError(text, data=data)
        base = StepError if isinstance(error, StepError) else Exception
        kind = type(type(error).__name__, (base,), {"__module__": type(error).__module__})
        made: Any = kind(text)
        made.stepflow_data = data
        return made  # type: ignore[no-any-return]  # its class was made above


def _data_of(error: Exception) -> Any:
    return getattr(error, "data", getattr(error, "stepflow_data", None))


def _forms(value: str) -> Iterable[str]:
    """Give the forms in which a value may come back."""
    raw = value.encode()
    yield value
    yield quote(value, safe="")
    yield quote_plus(value)
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield base64.b64encode(raw).decode()
    yield base64.urlsafe_b64encode(raw).decode()
