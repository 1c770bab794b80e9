"""What the worker is doing for a run right now, told to those who ask; loaded at the first ask."""
