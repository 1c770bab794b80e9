"""Fair lanes: whose a run is, what waits in which lane, and how much weight each has."""
