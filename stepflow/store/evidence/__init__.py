"""Calls that only look, for those who ask why a run stands, and whether all is well."""
