"""
Plain functions in child processes: `isolation="process"`.

The law: whatever such a function does, it does to its own process. Time out, crash, memory: the
attempt it was called for ends, and nothing else. Calls and values cross as packed values.
"""
