"""The operations on groups."""
