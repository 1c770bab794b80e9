"""The verbs about what stands around steps."""
