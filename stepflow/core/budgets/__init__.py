"""Budgets: what calls may cost, what they have cost, and windows of time; no clock, no Redis."""
