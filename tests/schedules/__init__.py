"""Schedules: their times, what a time means, and who fires them."""
