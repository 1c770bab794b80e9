"""What tests of the engine share: a worker that can die."""

import pytest

from stepflow.store.claims import claim_steps, sources_of


class Ghost:
    """A worker that claims and does nothing more; `die` lets the leases of its claims run out."""

    def __init__(self, connection, keys, real):
        self.connection, self.keys, self.real, self.number = connection, keys, real, 0

    def claim(self, *runners, queue="default", lease_s=1000.0):
        call = claim_steps(
            self.keys, sources_of(self.keys, queue), given="", stem="ghost.", number=self.number,
            lease_s=lease_s, limit=10, live_workers=1, worker="ghost", now=self.real.time()[0],
            runners=runners,
        )  # fmt: skip
        self.number += 10
        taken = self.connection.call(call).taken
        assert taken, "nothing to claim"
        return taken

    def die(self):
        for member in self.real.zrange(self.keys.claims, 0, -1):
            self.real.zadd(self.keys.claims, {member: 1.0})


@pytest.fixture
def ghost(link_to_real, keys, real):
    return Ghost(link_to_real, keys, real)
