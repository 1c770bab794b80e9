"""`stepflow dev`: works an app while you write it, and restarts when its code changes."""
