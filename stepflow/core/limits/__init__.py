"""Limits as values: what a limit says, and which limits a run has. Pure."""
