"""Serializes values with msgpack and extensions, and computes digests of a run's input."""
