"""`stepflow limits`: look at limits and set them."""
