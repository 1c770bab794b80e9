"""Values that runs share, by what they are computed from."""
