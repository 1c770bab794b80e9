"""Values that runs share."""
