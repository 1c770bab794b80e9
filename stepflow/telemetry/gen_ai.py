"""
Attribute names for AI agents, from OpenTelemetry's semantic conventions for generative AI.

They are those of github.com/open-telemetry/semantic-conventions-genai at commit
e8fc5751506258db1459d1bde47994e01dee922e. Their status is "development": names may still change. In
v0.1.0 `gen_ai.agent.name` takes the place of `gen_ai.workflow.name`, so spans carry both. No
prompt, answer or other content is recorded.
"""

from __future__ import annotations

from stepflow.core.run import Run
from stepflow.telemetry.attributes import Attributes

OPERATION = "gen_ai.operation.name"
WORKFLOW = "gen_ai.workflow.name"
AGENT = "gen_ai.agent.name"
CONVERSATION = "gen_ai.conversation.id"

#: the value of OPERATION, and how the name of the span begins
INVOKE_WORKFLOW = "invoke_workflow"


def invocation(run: Run) -> Attributes:
    """Describe an activation of the workflow of *run*, which says that it is an agent."""
    return {
        OPERATION: INVOKE_WORKFLOW,
        WORKFLOW: run.runner,
        AGENT: run.runner,
        CONVERSATION: run.id,
    }
