"""Circuit breakers, one state for all workers: what your code says, and what it is given."""
