"""`stepflow dev`: an app worked while you write it, started anew when its code changes."""
