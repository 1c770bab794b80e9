"""`stepflow worker`, and the lines that a worker logs."""
