"""How a person sees a run: `stepflow show` and `watch`, and what `dev` says of it."""
