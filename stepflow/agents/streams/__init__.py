"""What models say while they say it: published by units, put together and framed by readers."""

from stepflow.agents.streams.answers import Answer, ToolCall, assemble
from stepflow.agents.streams.catching_up import caught_up
from stepflow.agents.streams.frames import ag_ui, ai_sdk

__all__ = ["Answer", "ToolCall", "ag_ui", "ai_sdk", "assemble", "caught_up"]
