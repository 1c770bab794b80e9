"""Limits as the engine has them: declared by code, set by operators, chosen for runs."""
