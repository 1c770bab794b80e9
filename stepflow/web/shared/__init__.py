"""Values that runs share over HTTP."""
