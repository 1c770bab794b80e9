"""Groups: submitted, begun, settled, retried, cancelled, forgotten."""
