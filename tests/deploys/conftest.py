"""What the tests of deploys share with the attacks: clusters of real processes."""

from tests.crash.conftest import make_cluster

__all__ = ["make_cluster"]
