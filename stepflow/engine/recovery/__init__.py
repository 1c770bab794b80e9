"""What takes a step from a worker that is gone: for the workers, and for the doctor."""
