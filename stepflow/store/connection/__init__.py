"""
Connections to Redis.

Sync, async and fake, each within one budget of time for a call, whatever fails on the way.
"""
