"""What the reader of docs/how-to/agents/providers.md has at hand."""

from stepflow.agents.providers import (
    Completion,
    CompletionRequest,
    Message,
    ProviderOverloaded,
    Usage,
)


class Busy(Exception):
    pass


async def generate(messages):
    return messages[-1][1].upper(), (1, 1)


async def check(h, space):
    [said] = [
        await provider.complete(CompletionRequest((Message("user", "hello"),)))
        for provider in space["model"].providers
        if provider.name == "local"
    ]
    assert said.text == "HELLO"


__all__ = ["Completion", "ProviderOverloaded", "Usage"]
