"""Budgets, as operators and programs see and steer them."""
