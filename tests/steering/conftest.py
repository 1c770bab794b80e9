"""What tests of operators' verbs share."""

from tests.crash.conftest import make_cluster
from tests.engine.conftest import Ghost, ghost

__all__ = ["Ghost", "ghost", "make_cluster"]
