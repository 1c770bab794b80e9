"""What tests of groups share: a client's groups with a clock by hand, and members ended by hand."""

import pytest

from stepflow import Client, RunSpec
from stepflow.core.ids import group_of_member
from stepflow.core.run import RunState
from stepflow.core.transition import Transition
from stepflow.engine.cancel import cancel, fail, finish_from_outside
from stepflow.engine.groups.carry import look
from stepflow.engine.versions import Versions
from stepflow.store.connection.sync import carry_out
from stepflow.store.maintenance import move_due
from stepflow.store.run_hash import format_time
from stepflow.store.runs import Fence, load_run


class Bench:
    """Groups on one server, with a clock that stands still and workers that look when told."""

    def __init__(self, connection, redis_client, keys, clock):
        self.connection, self.redis, self.keys, self.clock = connection, redis_client, keys, clock
        self.client = Client("redis://nowhere", connection=connection)
        self.client.env.clock = clock
        self.client.versions = Versions(lambda runner: 1)
        self.groups = self.client.groups

    @property
    def env(self):
        return self.client.env

    def do(self, plan):
        return carry_out(self.connection, plan)

    def submit(self, keys="abc", group_id="g", **options):
        return self.groups.submit(group_id, self.members(keys), **options)

    @staticmethod
    def members(keys):
        return {key: RunSpec("etl", key) for key in keys}

    def due(self):
        """The groups that somebody is to look at, and in how many seconds."""
        now = self.clock.now()
        return {
            group_of_member(member.decode()): score - now
            for member, score in self.redis.zrange(self.keys.due, 0, -1, withscores=True)
            if group_of_member(member.decode())
        }

    def work(self):
        """Do what a worker does for groups: move what is due, and look until there is no more."""
        now = self.clock.now()
        call = move_due(self.keys, given=format_time(now), now=now)
        while found := self.connection.call(call).groups:
            for group_id in found:
                while self.do(look(group_id, self.env)):
                    pass

    def succeed(self, *keys, group_id="g"):
        """End members as a worker would; no step is run."""
        for key in keys:
            self.do(self._succeed(f"{group_id}--{key}"))

    async def _succeed(self, run_id):
        run = await load_run(self.keys, run_id)
        if run.is_finished:
            return
        move = Transition.finish(run, RunState.SUCCEEDED)
        await finish_from_outside(run, move, Fence("", self.env.request_id()), self.env)

    def fail(self, *keys, group_id="g", why="boom"):
        for key in keys:
            self.do(self._fail(f"{group_id}--{key}", why))

    def _fail(self, run_id, why="boom"):
        return fail(run_id, why, self.env)

    def cancel(self, *keys, group_id="g"):
        for key in keys:
            self.do(cancel(f"{group_id}--{key}", "", self.env))

    def live(self):
        return sorted(run.id for run in self.client.list().runs if not run.is_finished)


@pytest.fixture
def bench(connection, redis_client, keys, clock):
    """Groups on the fake and on the real server."""
    return Bench(connection, redis_client, keys, clock)
