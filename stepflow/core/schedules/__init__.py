"""Schedules: when runs begin by themselves, and what a time that has come means. Pure."""
