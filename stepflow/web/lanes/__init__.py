"""Lanes of fair queues over HTTP."""
