"""What the attacks share."""

from collections.abc import Callable, Iterator

import pytest

from tests.crash.support.cluster import Cluster
from tests.engine.conftest import Ghost


@pytest.fixture
def make_cluster() -> Iterator[Callable[..., Cluster]]:
    """Make a cluster that ends with the test."""
    made: list[Cluster] = []

    def make(**options: object) -> Cluster:
        made.append(Cluster(**options).__enter__())
        return made[-1]

    yield make
    for cluster in made:
        cluster.__exit__(None, None, None)


@pytest.fixture
def ghost(link_to_real, keys, real) -> Ghost:
    """A worker that claims and does nothing more."""
    return Ghost(link_to_real, keys, real)
