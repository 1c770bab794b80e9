"""What tests of fair queues share: lanes on one server, with workers that claim when told."""

import pytest

from stepflow.core.ids import Delivery
from stepflow.core.run import Priority, Run, RunState
from stepflow.store.claims import claim_steps, sources_of
from stepflow.store.maintenance import scan_maintenance
from stepflow.store.runs import Fence, hand_over, load_run, submit_run
from stepflow.store.values.codec import pack


class Bench:
    """Submits runs into lanes and claims them, with a clock that stands still."""

    def __init__(self, connection, redis, keys, clock):
        self.connection, self.redis, self.keys, self.clock = connection, redis, keys, clock
        self.number = 0

    def submit(self, run_id, lane="", *, priority=Priority.NORMAL, due_in=0.0):
        now = self.clock.now()
        run = Run(
            run_id, "x", "default", priority, RunState.SCHEDULED if due_in else RunState.PENDING,
            delivery=self.keys.rq_id(Delivery(run_id, 0)), digest=b"d", created_at=now,
            due_at=now + due_in if due_in else 0.0, lane=lane,
        )  # fmt: skip
        self.connection.call(submit_run(self.keys, run, request="r", data=["payload", pack(1)]))

    def fill(self, **counts):
        """Submit so many runs into each lane, lane by lane."""
        for lane, count in counts.items():
            for number in range(count):
                self.submit(f"{lane}-{number}", lane)

    def batch(self, limit=1, *, worker="w1", levels=(), live_workers=1):
        self.number += 100
        call = claim_steps(
            self.keys, sources_of(self.keys, "default", levels), given=self.clock.given,
            stem=f"{worker}.", number=self.number, lease_s=15.0, limit=limit,
            live_workers=live_workers, worker=worker, now=self.clock.now(), runners=["x"],
        )  # fmt: skip
        return self.connection.call(call)

    def claim(self, limit=1, **options):
        """Claim, and give the ids of the runs."""
        taken = self.batch(limit, **options).taken
        return [
            Delivery.parse(each.rq_id.removeprefix(self.keys.job_prefix)).run_id for each in taken
        ]

    def drain(self, limit=1, **options):
        found = []
        while ids := self.claim(limit, **options):
            found += ids
        return found

    def run(self, run_id):
        return self.connection.call(load_run(self.keys, run_id))

    def give_back(self, run_id, **changes):
        """Hand the present step of a claimed run over again."""
        run, now = self.run(run_id), self.clock.now()
        options = {"state": RunState.PENDING, "step": run.step + 1, "due_at": None, **changes}
        call = hand_over(
            self.keys, run, Fence(run.token, str(run.step), f"{run.token} ok"), failures=0,
            crashes=0, now=now, **options,
        )  # fmt: skip
        return self.connection.call(call)

    def give_back_waiting(self, run_id, due_at=None):
        """Hand a run over again that waits for its claim, as somebody outside does."""
        run = self.run(run_id)
        call = hand_over(
            self.keys, run, Fence("", "r2"), state=RunState.PENDING, step=run.step, failures=0,
            crashes=0, due_at=due_at, now=self.clock.now(),
        )  # fmt: skip
        return self.connection.call(call)

    def scan(self):
        call = scan_maintenance(
            self.keys, sources_of(self.keys, "default"), "default", "w1", given=self.clock.given,
            silent_s=5.0, dead_s=100.0,
        )  # fmt: skip
        return self.connection.call(call)

    def rounds(self, count=30):
        """What rounds of a worker put back, and what the last of them found missing."""
        restored, look = [], None
        for _ in range(count):
            self.clock.advance(1)
            look = self.scan()
            restored += look.restored
        return restored, [each.removeprefix("run:") for each in look.missing]

    def window(self, priority=Priority.NORMAL):
        """The ids of the runs in the RQ list."""
        listed = self.redis.lrange(
            self.keys.rq_list(self.keys.rq_queue("default", priority)), 0, -1
        )
        return [
            Delivery.parse(each.decode().removeprefix(self.keys.job_prefix)).run_id
            for each in listed
        ]

    def lanes(self, rq_queue="default"):
        return dict(self.redis.zrange(self.keys.lanes(rq_queue), 0, -1, withscores=True))


@pytest.fixture
def bench(connection, redis_client, keys, clock):
    clock.advance(1_800_000_000 - clock.now())
    redis_client.hset(keys.fair, "default", 8)
    return Bench(connection, redis_client, keys, clock)
