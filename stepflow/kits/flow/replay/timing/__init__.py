"""The time of a workflow's own code: its timers, and what they count from."""
