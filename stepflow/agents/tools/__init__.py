"""A tool loop without a framework: each call of the model and of a tool is a remembered step."""

from stepflow.agents.tools.errors import AnswerCutOff, TooManyRounds
from stepflow.agents.tools.loop import ToolLoopResult
from stepflow.agents.tools.tool import Tool, as_tool, tool

__all__ = ["AnswerCutOff", "TooManyRounds", "Tool", "ToolLoopResult", "as_tool", "tool"]
