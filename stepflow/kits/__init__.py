"""Kits: ways of writing runs on top of the core, which knows none of them."""
