"""Benchmarks: one file a workload, which prints one JSON line; compare ratios within one run only."""
