"""Calls for what a run says while it works, and for what its records tell of it."""
