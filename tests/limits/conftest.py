"""What tests of limits share: a store with a manual clock, whose runs have limits."""

import pytest

from stepflow.core.ids import Delivery
from stepflow.core.limits.use import LimitUse, write_uses
from stepflow.core.limits.values import LimitValues
from stepflow.core.run import RunState
from stepflow.engine.env import Env
from stepflow.engine.limits import turns
from stepflow.store.connection.sync import carry_out
from stepflow.store.limits.hash import declare_limits, save_set
from stepflow.store.maintenance import move_due
from stepflow.store.runs import Fence, finish_run, hand_over, load_run, submit_run
from stepflow.store.values.codec import pack
from tests.store.conftest import Store


class Limited(Store):
    """Submits runs with limits, claims them, ends their claims; times by hand."""

    def declare(self, name="stripe", **values):
        self.connection.call(declare_limits(self.keys, {name: LimitValues(**values)}, {}))

    def set(self, name="stripe", key=None, **values):
        self.connection.call(save_set(self.keys, name, key, LimitValues(**values)))

    def submit(self, run_id="a", *uses, **options):
        """Each of *uses* is a name, `name[key]`, or a LimitUse."""
        run = self.run(run_id, **options)
        run.limits = write_uses([use if isinstance(use, LimitUse) else use_of(use) for use in uses])
        call = submit_run(self.keys, run, request=run_id, data=["payload", pack(1)])
        return self.connection.call(call)

    def claimed(self, **options):
        """Claim what may begin; gives the ids of those that did."""
        taken = self.batch(limit=100, **options).taken
        return [str(Delivery.parse(each.rq_id).run_id) for each in taken]

    def load(self, run_id="a"):
        return self.connection.call(load_run(self.keys, run_id))

    def end(self, run_id):
        run = self.load(run_id)
        self.connection.call(
            finish_run(
                self.keys, run, Fence(run.token, str(run.step), f"{run.token} ok"),
                state=RunState.SUCCEEDED, now=self.now, ttl_s=60,
            )
        )  # fmt: skip

    def give_back(self, run_id, due_in=None, **changes):
        """End the claim of a run that goes on."""
        run = self.load(run_id)
        call = hand_over(
            self.keys, run, Fence(run.token, str(run.step), f"{run.token} ok"),
            state=RunState.SCHEDULED if due_in else RunState.PENDING, step=run.step + 1,
            failures=0, crashes=0, due_at=self.now + due_in if due_in else None, now=self.now,
            **changes,
        )  # fmt: skip
        self.connection.call(call)

    def due(self):
        """Move what is due, and look at lines whose timer has rung."""
        look = self.connection.call(move_due(self.keys, given=self.clock.given, now=self.now))
        if look.lines:
            carry_out(self.connection, turns.call_due(look.lines, self.env))
        return look

    @property
    def env(self):
        from stepflow.settings import Settings

        return Env(self.keys, Settings(), self.clock)

    def plan(self, plan):
        return carry_out(self.connection, plan)

    def line(self, name="stripe", key=""):
        return [
            each.decode()
            for each in self.client.zrange(self.keys.of_limit("line", name, key), 0, -1)
        ]

    def slots(self, name="stripe", key=""):
        return {
            each.decode()
            for each in self.client.zrange(self.keys.of_limit("slots", name, key), 0, -1)
        }

    def left(self):
        """The keys of limits that are there, but for what limits say."""
        kinds = ("slots", "line", "lines", "called", "tat", "rest")
        found = [
            key.decode().split(":")
            for key in self.client.scan_iter("stepflow:*")
            if self.client.ttl(key) == -1
        ]
        return sorted(":".join(parts) for parts in found if parts[1] in kinds)


def use_of(label):
    name, _, key = label.rstrip("]").partition("[")
    return LimitUse(name, key)


@pytest.fixture
def real_store(link_to_real, real, keys, clock):
    """On the real server only: for many calls."""
    return Limited(link_to_real, real, keys, clock)


@pytest.fixture
def store(connection, redis_client, keys, clock):
    return Limited(connection, redis_client, keys, clock)
