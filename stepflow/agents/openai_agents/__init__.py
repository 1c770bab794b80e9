"""
Agents of the OpenAI Agents SDK: `run` is `Runner.run`, each of its calls a remembered step.

In a workflow `Runner.run` itself is durable once this module is imported, so the runs that agents
make of other agents are, too. Elsewhere it is what it was. Needs the extra `openai-agents`.
"""

try:
    import agents  # noqa: F401  says what is missing before anything else fails
except ModuleNotFoundError as missing:
    sentence = (
        "stepflow.agents.openai_agents needs the OpenAI Agents SDK: "
        "pip install 'stepflow-rq[openai-agents]'"
    )
    raise ModuleNotFoundError(sentence, name=missing.name) from missing

from stepflow.agents.openai_agents.runner import run
from stepflow.agents.openai_agents.session import RunSession, read_session

__all__ = ["RunSession", "read_session", "run"]
