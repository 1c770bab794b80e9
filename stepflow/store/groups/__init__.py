"""Calls for groups: their records, their manifests, and what moves them."""
