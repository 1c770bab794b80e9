"""What a worker keeps in order beside the runs themselves."""
