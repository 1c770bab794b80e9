"""
Attacks on the runtime with real processes, a real server and SIGKILL; the checker reads everything
afterwards.
"""
