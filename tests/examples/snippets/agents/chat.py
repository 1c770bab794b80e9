"""What the reader of docs/how-to/agents/chat.md has at hand."""

from datetime import timedelta

from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

from stepflow import Client, Stepflow
from stepflow.agents.chat import KeepLast
from stepflow.agents.pydantic_ai import Durable

app = Stepflow()
model = TestModel()

__all__ = ["Agent", "Client", "Durable", "KeepLast", "timedelta"]
