"""
The doctor: looks at server, workers, queues and every live run, and mends what nobody else does.

`search.py` looks for what may be broken, `why` says whether it is, `repair.py` mends it.
"""

from stepflow.engine.doctor.examine import examine
from stepflow.engine.doctor.model import Finding, Level, Line, Report

__all__ = ["Finding", "Level", "Line", "Report", "examine"]
