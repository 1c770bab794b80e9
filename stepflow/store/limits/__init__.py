"""Calls that read and write limits, and what scripts are given for the limits of a run."""
