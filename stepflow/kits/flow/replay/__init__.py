"""
How a workflow is carried on.

Its code runs again from the top, and what it did before is read, not done.
"""
