"""How a workflow goes on: its code runs again from the top, and what it did before is remembered."""
