"""`stepflow group`."""
