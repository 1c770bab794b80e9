"""
The verbs of clients and workers, a file each: submit, cancel, signal, answer, retry, fork, status.

Their law: a verb is a plan that awaits calls, so that it has one body for every connection, and it
leaves the decision to `core/transitions.py`.
"""
