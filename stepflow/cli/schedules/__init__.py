"""The verbs about schedules."""
