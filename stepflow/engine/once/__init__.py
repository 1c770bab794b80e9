"""Runs of which there is one at a time, or one for many submits: singletons and debounced ones."""
