"""
The testing kit for users.

An app's runs in the test's own process, on a fake server, by a clock that the test moves.

What runs is the real engine; only its connections, threads and timers are replaced. Needs the extra
`testing`.
"""

from stepflow.testing.harness import Harness
from stepflow.testing.hooks import HookSeen
from stepflow.testing.mocks import Mock

__all__ = ["Harness", "HookSeen", "Mock"]
