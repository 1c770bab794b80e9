"""What `why` says of what a limit, a breaker, a budget or a shared value holds back."""
