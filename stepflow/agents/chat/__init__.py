"""
Conversations with an agent: a run for each, and a history of its own for each turn.

`app.chat("support", agent)` registers one kind of conversation; `client.say("chat-42", "hello",
chat="support")` says something in one, and begins it. What was said is kept once, beside the run,
so that a turn costs the thousandth time what it cost the first.
"""

from stepflow.agents.chat.compact import Compact, KeepLast, Summarize
from stepflow.agents.chat.turns import read_turns

__all__ = ["Compact", "KeepLast", "Summarize", "read_turns"]
