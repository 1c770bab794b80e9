"""Budgets as Redis holds them, and the calls that move them."""
