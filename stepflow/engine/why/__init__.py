"""
Why a run stands where it stands: one word, one code, one sentence, and what you can type.

`read.py` reads, `gather.py` makes facts of that, and `explain.py` makes the answer of them and asks
nobody for anything.
"""

from stepflow.engine.why.ask import LOOK_AGAIN_S, ask, ask_many, settle, where_it_stands
from stepflow.engine.why.model import CODES, Why, WhyWord

__all__ = [
    "CODES",
    "LOOK_AGAIN_S",
    "Why",
    "WhyWord",
    "ask",
    "ask_many",
    "settle",
    "where_it_stands",
]
