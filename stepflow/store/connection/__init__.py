"""Connections to Redis: sync, async and fake, each within one budget of time for a call, whatever fails on the way."""
