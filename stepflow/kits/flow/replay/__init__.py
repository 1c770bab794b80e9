"""How a workflow goes on: its code runs again, and what it did before is remembered."""
