"""What a run lets others see while it goes on: its output stream, and events from its records."""
