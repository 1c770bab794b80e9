"""
The command line: a few verbs a file, each of which imports what it needs when it runs.

The law of this package: your mistake costs you one clear sentence and an exit code, never a
traceback. What a pipe reads on stdout is data; what a person should know beside it goes to stderr.
"""

from stepflow.cli.main import main

__all__ = ["main"]
