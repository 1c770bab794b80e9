"""What the attacks share."""

from collections.abc import Callable, Iterator

import pytest

from tests.crash.cluster import Cluster


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
