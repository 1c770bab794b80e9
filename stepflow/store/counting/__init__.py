"""Calls that keep and read what is counted."""
