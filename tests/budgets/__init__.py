"""Budgets: what steps may cost, and what they have cost."""
