"""What clients do with what stands around steps: circuit breakers, shared values."""
