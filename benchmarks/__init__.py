"""
How fast: one file a workload, one JSON line each; ratios within one run on one machine, never timed
tests.
"""
