"""
Where user code meets the runtime.

Its annotations, the values it gives, and what may leave a call of it.
"""
