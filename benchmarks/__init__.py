"""Benchmarks: one file a workload, which prints a JSON line; compare ratios within one run only."""
