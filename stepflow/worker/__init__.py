"""
A worker: it fetches deliveries, executes steps, commits them, and recovers those of dead workers.

Its law: nothing is written for a run except under its claim, or with the rev that was read.
"""
