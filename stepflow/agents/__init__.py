"""
Agents: loops of model and tool calls as workflows, each call a remembered step.

It stands on the flow kit; no room below knows it. What it is made of imports its library when you
import that part: `stepflow.agents.pydantic_ai` needs the extra `agents`.
"""
