"""
The testing kit: an app's runs in your test's own process, on a clock that the test moves.

The engine is the real one; a fake server replaces Redis, and nothing uses real threads and timers.
Needs the extra `testing`.
"""

from stepflow.testing.harness import Harness
from stepflow.testing.hooks import HookSeen
from stepflow.testing.mocks import Mock
from stepflow.testing.observing import RecordingObserver
from stepflow.testing.output import captured_output

__all__ = ["Harness", "HookSeen", "Mock", "RecordingObserver", "captured_output"]
