"""What stands around the call of a step's function."""
