"""Words that those who say something and the conversations that hear it have in common."""

from __future__ import annotations

#: the signal by which a person says something, and the topic of the answers
SAY, TOPIC = "say", "chat"
