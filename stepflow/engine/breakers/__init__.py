"""Circuit breakers, as operators and programs see and steer them."""
