"""What tests of operators' verbs share."""

from tests.engine.conftest import Ghost, ghost

__all__ = ["Ghost", "ghost"]
