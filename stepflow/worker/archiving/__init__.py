"""Ends of runs go from Redis into the archive, beside the steps and never before them."""
