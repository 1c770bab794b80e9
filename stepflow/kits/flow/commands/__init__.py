"""
What workflow code asks the runtime for.

A command each, met with what the journal holds or carried out.
"""
