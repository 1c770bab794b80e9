"""Models for tests, without a network: answers that a test gives, or a recorded file."""

from stepflow.agents.testing.answers import Answer, MockModel
from stepflow.agents.testing.cassette import Cassette, CassetteMiss, cassette

__all__ = ["Answer", "Cassette", "CassetteMiss", "MockModel", "cassette"]
