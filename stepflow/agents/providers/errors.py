"""
What may be wrong with a call of a model; the kind is kept in histories and decides what comes next.

    ProviderFailed       "transient"         tried again, not before `retry_after`
    ProviderOverloaded   "overloaded"        the same; `Resilient` goes on to the next fallback
    QuotaExhausted       "quota"             waiting does not help: the next fallback, else the end
    PromptTooLong        "prompt_too_long"   `Resilient` shortens it once, else the end
    ProviderRejected     "rejected"          the end: another try would be refused as well
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from stepflow.agents.providers.cut import CUT
from stepflow.errors import PermanentError, StepError, StepFailed, StepflowError, TransientError


class ProviderFailed(TransientError):
    """The provider failed in a way that may pass: a lost connection, a rate limit, a fault."""

    kind: ClassVar[str] = "transient"

    def __init__(
        self, provider: str, problem: str, *, retry_after: float | timedelta | None = None
    ) -> None:
        self.provider = provider
        super().__init__(
            f"model {provider!r} failed: {problem}",
            retry_after=retry_after,
            data={"provider": provider, "kind": self.kind},
        )


class ProviderOverloaded(ProviderFailed):
    """The provider has too much to do."""

    kind = "overloaded"


class ProviderRejected(PermanentError):
    """The provider will not answer this request, however often it is asked."""

    kind: ClassVar[str] = "rejected"

    def __init__(self, provider: str, problem: str) -> None:
        self.provider = provider
        super().__init__(
            f"model {provider!r} refused the request: {problem}",
            data={"provider": provider, "kind": self.kind},
        )


class QuotaExhausted(ProviderRejected):
    """The account's quota or credit is used up."""

    kind = "quota"


class PromptTooLong(ProviderRejected):
    """The conversation does not fit into the model's context."""

    kind = "prompt_too_long"


def kind_of(error: Exception) -> str:
    """
    Say what kind of failure *error* is, raised by a provider or remembered as a StepFailed.

    Empty for an error of stepflow's own, which says nothing of the provider.
    """
    if isinstance(error, StepflowError) and not isinstance(error, StepFailed | StepError):
        return ""
    return str(data_of(error).get("kind", "transient"))


def tries_of(error: Exception) -> int:
    """Say how many tries have failed before *error* was the last word."""
    tries = data_of(error).get("tries", 1)
    return tries if isinstance(tries, int) else 1


def cut_of(error: Exception) -> dict[int, int]:
    """Say how many tokens had come, at least, of each try that was cut off, by its number."""
    found = data_of(error).get(CUT, [])
    return dict(found) if isinstance(found, list) else {}


def note_tries(error: Exception, tries: int) -> None:
    """Have *error* carry how many tries have failed, unless its data is somebody else's."""
    if isinstance(error, StepError) and (error.data is None or isinstance(error.data, dict)):
        error.data = {**(error.data or {}), "tries": tries}


def data_of(error: Exception) -> dict[str, Any]:
    """Return what the error of a call carries."""
    data = error.data if isinstance(error, StepFailed | StepError) else None
    return data if isinstance(data, dict) else {}
