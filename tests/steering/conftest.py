"""What tests of operators' verbs share."""

from tests.crash.conftest import make_cluster
from tests.engine.conftest import Ghost, ghost
from tests.story.conftest import away

__all__ = ["Ghost", "away", "ghost", "make_cluster"]
