"""What tests of schedules share: a client's schedules, fired by hand with a clock by hand."""

import pytest

from stepflow import Client
from stepflow.core.ids import schedule_of_member
from stepflow.engine.schedules.fire import fire
from stepflow.engine.versions import Versions
from stepflow.store.connection.sync import carry_out
from stepflow.store.maintenance import move_due
from stepflow.store.run_hash import format_time

#: where the clock of these tests stands at first: a multiple of ten
BEGIN = 1_800_000_000.0


class Bench:
    """Schedules on one server, with a clock that stands still and workers that look when told."""

    def __init__(self, connection, redis_client, keys, clock):
        self.connection, self.redis, self.keys, self.clock = connection, redis_client, keys, clock
        clock.advance(BEGIN - clock.now())
        self.client = Client("redis://nowhere", connection=connection)
        self.client.env.clock = clock
        self.client.versions = Versions(lambda runner: 1)
        self.schedules = self.client.schedules
        #: which schedules the code of the worker declares that looks
        self.declares = lambda schedule_id: schedule_id == ""

    @property
    def now(self):
        return self.clock.now()

    @property
    def env(self):
        return self.client.env

    def move_due(self):
        """Move what is due, and give the schedules that a worker is to decide on."""
        call = move_due(self.keys, given=format_time(self.now), now=self.now)
        return self.connection.call(call).schedules

    def fire(self, schedule_id):
        plan = fire(schedule_id, self.env, self.client.versions, declares=self.declares)
        carry_out(self.connection, plan)

    def look(self):
        """Do what a worker does: move what is due, and decide."""
        while found := self.move_due():
            for schedule_id in found:
                self.fire(schedule_id)

    def go_to(self, seconds):
        """Let the time pass up to so many seconds after the begin, with a worker that is there."""
        while (due := self.next_due()) is not None and due <= BEGIN + seconds:
            self.clock.advance(max(0.0, due - self.now))
            self.look()
        self.clock.advance(BEGIN + seconds - self.now)
        self.look()

    def next_due(self):
        found = [
            score
            for member, score in self.redis.zrange(self.keys.due, 0, -1, withscores=True)
            if schedule_of_member(member.decode())
        ]
        return min(found, default=None)

    def runs(self, schedule_id="s"):
        """The times that have a run, in seconds after the begin."""
        lines = reversed(self.schedules.history(schedule_id))
        return [line.scheduled_for.timestamp() - BEGIN for line in lines if line.run_id]

    def left(self, schedule_id="s"):
        lines = reversed(self.schedules.history(schedule_id))
        return [
            (line.scheduled_for.timestamp() - BEGIN, line.left_out, line.count)
            for line in lines
            if line.left_out
        ]

    def live(self):
        return [run.id for run in self.client.list().runs if not run.is_finished]


@pytest.fixture
def bench(connection, redis_client, keys, clock):
    """Schedules on the fake and on the real server."""
    return Bench(connection, redis_client, keys, clock)
