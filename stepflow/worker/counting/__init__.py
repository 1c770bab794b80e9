"""What a worker counts, until its next round sends it."""
