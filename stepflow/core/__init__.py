"""What a run is and what may become of it: pure Python, without clock, random numbers or Redis."""
