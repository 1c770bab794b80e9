"""
A worker process.

It fetches claims, drives their steps to a commit, renews them, and looks after what others left.
"""
