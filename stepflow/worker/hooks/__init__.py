"""Hooks that are functions of the app: they are called, and what they write is settled."""
