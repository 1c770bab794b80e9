"""The runtime's side of a step: what runners and kits may do while one runs."""
