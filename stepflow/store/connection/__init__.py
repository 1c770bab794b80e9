"""
Connections to Redis: sync, async and fake.

Each call has one time budget, which covers every retry and reconnect on the way.
"""
