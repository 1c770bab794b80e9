"""
What tests of the scripts share: a store with a manual clock, on the fake and on the real server.
"""

import pytest

from stepflow.core.ids import Delivery
from stepflow.core.run import Priority, Run, RunState
from stepflow.store.claims import claim_steps, sources_of
from stepflow.store.runs import Fence, load_run, submit_run
from stepflow.store.values.codec import pack
from tests.support import dump


class Store:
    """Makes and claims runs the way the engine does, with times by hand."""

    def __init__(self, connection, client, keys, clock):
        self.connection, self.client, self.keys, self.clock, self.number = (
            connection,
            client,
            keys,
            clock,
            0,
        )

    @property
    def now(self):
        return self.clock.now()

    def run(
        self,
        run_id="a",
        *,
        due_in=0.0,
        priority=Priority.NORMAL,
        runner="x",
        queue="default",
        timeout=0.0,
        generation=0,
    ):
        """A run to be submitted."""
        return Run(
            run_id, runner, queue, priority, RunState.SCHEDULED if due_in else RunState.PENDING,
            generation=generation, delivery=self.keys.rq_id(Delivery(run_id, 0, generation)),
            due_at=self.now + due_in if due_in else 0.0, digest=b"d", created_at=self.now,
            deadline_at=self.now + timeout if timeout else 0.0,
        )  # fmt: skip

    def submit(self, run_id="a", *, request="r1", replaces=None, **options):
        """None when it was made, else the row that is there."""
        run = self.run(run_id, **options)
        if replaces:
            run.rev = replaces.rev + 1
        return self.connection.call(
            submit_run(
                self.keys, run, request=request, data=["payload", pack(1)], replaces=replaces
            )
        )

    def claim_call(
        self,
        runners=("x",),
        *,
        queue="default",
        worker="w1",
        limit=10,
        live_workers=1,
        lease_s=15.0,
        sources=None,
    ):
        self.number += 100
        return claim_steps(
            self.keys, sources or sources_of(self.keys, queue), given=self.clock.given,
            stem=f"{worker}.", number=self.number, lease_s=lease_s, limit=limit,
            live_workers=live_workers, worker=worker, now=self.now, runners=runners,
        )  # fmt: skip

    def batch(self, *args, **options):
        return self.connection.call(self.claim_call(*args, **options))

    def claim(self, *args, **options):
        """The RQ ids that a claim brings."""
        return [taken.rq_id for taken in self.batch(*args, **options).taken]

    def load(self, run_id="a"):
        return self.connection.call(load_run(self.keys, run_id))

    def held(self, run_id="a", **options):
        """Submit a run, claim it, and give its row."""
        self.submit(run_id, **options)
        assert self.claim()
        return self.load(run_id)

    def fence(self, run, word="continue"):
        """What the worker that holds *run* brings to a commit."""
        return Fence(run.token, str(run.step), f"{run.token}{word} 1 0.000 0.000")

    def dump(self):
        return dump(self.client)

    def entries(self, rq_queue="default"):
        return [item.decode() for item in self.client.lrange(f"rq:queue:{rq_queue}", 0, -1)]


@pytest.fixture
def store(connection, redis_client, keys, clock):
    return Store(connection, redis_client, keys, clock)
