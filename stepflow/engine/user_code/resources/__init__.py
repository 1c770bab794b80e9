"""Resources: what an app sets up for its workers or activations, and hands to its functions."""
