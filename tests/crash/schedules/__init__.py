"""Attacks on schedules."""
