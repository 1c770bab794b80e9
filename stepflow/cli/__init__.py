"""
The command line: each verb in a file of its own, which imports what it needs when it runs.

The room's law: a user's mistake is one clear sentence and an exit code, never a traceback; what a
pipe reads on stdout is data, what a person should know beside it goes to stderr.
"""

from stepflow.cli.main import main

__all__ = ["main"]
