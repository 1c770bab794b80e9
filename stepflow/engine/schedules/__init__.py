"""Schedules as verbs: put, fire, pause, trigger, backfill, delete; and what code declares."""
