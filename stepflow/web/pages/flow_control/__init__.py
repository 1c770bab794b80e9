"""The pages of what holds runs back: limits, circuit breakers; and of values that runs share."""
