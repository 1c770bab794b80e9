"""The operations on schedules."""
