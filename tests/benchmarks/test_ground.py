"""Where workloads run: databases of one server, by whichever URL that is given."""

import pytest

from benchmarks.ground import in_database
from stepflow.store.connection.address import Address


@pytest.mark.parametrize(
    "url",
    [
        "unix:///tmp/a.sock", "unix:///tmp/a.sock?db=3", "redis://localhost:6391",
        "redis://localhost:6391/0", "rediss://user:p%2Fw@localhost:6391/5",
    ],
)  # fmt: skip
def test_another_database_of_a_server_has_the_same_address(url):
    first, other = Address.parse(url), Address.parse(in_database(url, 2))
    assert other.db == 2
    assert (other.host, other.port, other.path, other.username, other.password, other.tls) == (
        first.host, first.port, first.path, first.username, first.password, first.tls,
    )  # fmt: skip
