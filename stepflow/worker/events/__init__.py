"""What a worker lets others see while its runs go on: their output streams, and its listeners."""
