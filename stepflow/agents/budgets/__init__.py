"""
Which budgets the calls of models spend of, and what such a call costs.

`charging` is for a block of workflow code: every model that is called there, by a tool loop, by an
agent or an agent's agent, spends of the budgets that it names.
"""

from stepflow.agents.budgets.charging import charging

__all__ = ["charging"]
