"""Agents of pydantic-ai: `Durable` makes each of their calls a remembered step of the run."""

try:
    import pydantic_ai.durable_exec  # noqa: F401  says what is missing before anything else fails
except ModuleNotFoundError as missing:
    sentence = "stepflow.agents.pydantic_ai needs pydantic-ai: pip install 'stepflow-rq[agents]'"
    raise ModuleNotFoundError(sentence, name=missing.name) from missing

from stepflow.agents.pydantic_ai.durable import Durable

__all__ = ["Durable"]
