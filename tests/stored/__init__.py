"""Databases as earlier versions left them, and what today's version makes of them."""
