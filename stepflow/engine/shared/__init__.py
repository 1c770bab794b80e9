"""Values that runs share, as operators see and drop them."""
