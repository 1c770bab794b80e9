"""Values of a definition: references, expressions, and what must stay out of the history."""
