"""
What workflow code asks the runtime for, a command each.

A command is answered by what the journal remembers, or carried out and then remembered. Commands
know their host by a protocol only, and nothing of the replay.
"""
