"""What begins runs of definitions besides a submit: times, webhooks, events, messages."""
