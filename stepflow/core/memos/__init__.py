"""What a step can leave to later attempts, and to other runs."""
