"""Hooks that are functions of an app: which ends they have chosen, and what they may write."""
