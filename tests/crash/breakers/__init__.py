"""Circuit breakers under attack."""
