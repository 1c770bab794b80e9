"""Budgets under attack."""
