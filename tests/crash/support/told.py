"""
`stepflow` with a signal to leave at the call that TOLD_AT counts, from when signals are taken on.

Wherever it comes: in a lock, an import, a callback of the garbage collector.
"""

import itertools
import os
import signal
import sys
from types import FrameType
from typing import Any

from stepflow.cli.main import main
from stepflow.process import Departure

TOLD_AT = int(os.environ["TOLD_AT"])
take_signals = Departure.take_signals
calls = itertools.count(1)


def count(frame: FrameType, event: str, what: Any) -> None:
    del frame, what
    if event in ("call", "c_call") and next(calls) == TOLD_AT:
        sys.setprofile(None)
        os.kill(os.getpid(), signal.SIGTERM)


def take_and_count(departure: Departure) -> None:
    take_signals(departure)
    print("signals are taken", flush=True)
    sys.setprofile(count)


Departure.take_signals = take_and_count  # type: ignore[method-assign]
main()
