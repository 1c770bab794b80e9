"""
Providers: whatever completes a conversation, and what to do when it fails.

`from_pydantic_ai` wraps any model of pydantic-ai (extra `agents`); `Resilient` adds fallbacks. A
class of yours with `name` and `complete` will do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stepflow.agents.providers.errors import (
    PromptTooLong,
    ProviderFailed,
    ProviderOverloaded,
    ProviderRejected,
    QuotaExhausted,
)
from stepflow.agents.providers.model import (
    Completion,
    CompletionRequest,
    Finish,
    LedgerEntry,
    Message,
    Provider,
    StreamingProvider,
    ToolCall,
    ToolSpec,
    Usage,
)
from stepflow.agents.providers.resilient import Resilient

if TYPE_CHECKING:
    from stepflow.agents.providers.pydantic_ai_models import from_pydantic_ai

__all__ = [
    "Completion",
    "CompletionRequest",
    "Finish",
    "LedgerEntry",
    "Message",
    "PromptTooLong",
    "Provider",
    "ProviderFailed",
    "ProviderOverloaded",
    "ProviderRejected",
    "QuotaExhausted",
    "Resilient",
    "StreamingProvider",
    "ToolCall",
    "ToolSpec",
    "Usage",
    "from_pydantic_ai",
]


def __getattr__(name: str) -> Any:
    if name != "from_pydantic_ai":
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from stepflow.agents.providers import pydantic_ai_models  # noqa: PLC0415  needs an extra

    return pydantic_ai_models.from_pydantic_ai
