"""Calls for what operators do to runs and queues beside stopping and retrying them."""
