"""What flows under control, in the mix of all attacks: groups and breakers."""
