"""
Limits in every order that chance finds, beside a model of them: a counter and a line.

Guards of the scripts are taken away one by one, and some order that went well goes wrong [L22].
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from stepflow.core.run import RunState
from stepflow.engine.limits import turns
from stepflow.store import scripts
from stepflow.store.calls import Call
from stepflow.store.runs import Fence, finish_run, hand_over
from tests.limits.conftest import Limited

MOST = {"x": 1, "y": 2}
SEEDS, MOVES = range(12), 40

#: what is taken away, and what takes its place, in every script that has it
GUARDS = {
    "room": ("(soft('ZCARD', limit.slots) or 0) + called >= limit.most", "false"),
    "those called": ("+ called >= limit.most", ">= limit.most"),
    "all of them": (
        "for _, use in ipairs(run.uses) do\n    local limit = use.limit\n    local has_room",
        "for _, use in ipairs({run.uses[1]}) do\n    local limit = use.limit\n    local has_room",
    ),
    "slots given back": ("soft('ZREM', limit.slots, id) end", "local _ = 0 end"),
    "turns given": (
        "if redis.call('EXISTS', limit.line) == 1 then call_heads(at, limit)", "if false then"
    ),
    "places given up": ("soft('ZREM', limit.line, id)\n", "\n"),
    "turns noted": ("soft('ZADD', use.limit.called, time, run.id)", "local _ = 0"),
    "turns taken": ("soft('ZREM', one.called, id)", "local _ = 0"),
    "slots taken": ("soft('ZADD', one.slots, 'NX', time, id)", "local _ = 0"),
}  # fmt: skip


class Altered:
    """A link that carries out other scripts in the place of those that have a guard."""

    def __init__(self, connection, text, instead):
        self.connection, self.client = connection, connection.client
        self.scripts = {
            script.name: replace(script, text=script.text.replace(text, instead))
            for script in scripts.all_scripts()
            if text in script.text
        }
        assert self.scripts, f"no script has {text!r}"
        for script in self.scripts.values():
            connection.client.script_load(script.text)

    def call(self, call):
        return self.calls([call])[0]

    def calls(self, calls):
        return self.connection.calls([self._altered(call) for call in calls])

    def _altered(self, call):
        script = None if call.script is None else self.scripts.get(call.script.name)
        if script is None:
            return call
        parts = ("EVALSHA", script.sha, *call.parts[2:])
        return Call(script, parts, call.read, resend=call.resend)


class World:
    """Runs with limits, moved by chance; after each move all must hold that the model says."""

    def __init__(self, store, seed):
        self.store, self.dice, self.made = store, random.Random(seed), 0
        for name, most in MOST.items():
            store.declare(name, concurrency=most)

    def move(self):
        claimed = [run.id for run in self.runs() if run.token]
        waiting = [run.id for run in self.runs() if run.delivery]
        act = self.dice.choice(
            ["submit", "submit", "claim", "claim", "end", "on", "lost", "cancel"]
        )
        match act:
            case "submit":
                self.made += 1
                uses = self.dice.sample(sorted(MOST), self.dice.randint(0, 2))
                self.store.submit(f"r{self.made}", *uses)
            case "claim":
                self.store.batch(limit=self.dice.randint(1, 3))
            case "end" if claimed:
                self.twice(self.ends(self.dice.choice(claimed)))
            case "on" if claimed:
                self.twice(self.goes_on(self.dice.choice(claimed)))
            case "lost" if claimed:
                self.store.connection.call(self.is_lost(self.dice.choice(claimed)))
            case "cancel" if waiting:
                self.store.connection.call(self.ends(self.dice.choice(waiting)))
        self.check()

    def twice(self, call):
        """The reply may be lost, and the call sent again."""
        for _ in range(self.dice.choice([1, 1, 2])):
            self.store.connection.call(call)

    def ends(self, run_id):
        run = self.store.load(run_id)
        fence = Fence(run.token, str(run.step), f"{run.token} ok" if run.token else "")
        return finish_run(
            self.store.keys, run, fence, state=RunState.SUCCEEDED, now=self.store.now, ttl_s=60
        )

    def goes_on(self, run_id):
        run = self.store.load(run_id)
        return hand_over(
            self.store.keys, run, Fence(run.token, str(run.step), f"{run.token} ok"),
            state=RunState.PENDING, step=run.step + 1, failures=0, crashes=0, due_at=None,
            now=self.store.now,
        )  # fmt: skip

    def is_lost(self, run_id):
        run = self.store.load(run_id)
        return hand_over(
            self.store.keys, run, Fence("", f"lost-{run.rev}"), state=RunState.PENDING,
            step=run.step, failures=0, crashes=run.crashes + 1, due_at=None, now=self.store.now,
        )  # fmt: skip

    def runs(self):
        ids = self.store.client.zrange(self.store.keys.live, 0, -1)
        return [self.store.load(each.decode()) for each in ids]

    def check(self):
        runs = {run.id: run for run in self.runs()}
        queue = [each.decode() for each in self.store.client.lrange("rq:queue:default", 0, -1)]
        lines = {name: self.store.line(name) for name in MOST}
        called = {
            name: {
                each.decode()
                for each in self.store.client.zrange(f"stepflow:called:{name}:", 0, -1)
            }
            for name in MOST
        }
        for run in runs.values():
            if run.delivery:
                places = queue.count(run.delivery) + sum(run.id in line for line in lines.values())
                assert places == 1, f"{run.id} stands in {places} places"
        for name, most in MOST.items():
            claimed = {run.id for run in runs.values() if run.token and f"{name}|" in run.limits}
            assert len(claimed) <= most, f"{claimed} are at work"
            assert self.store.slots(name) == claimed, f"{name} has other slots than {claimed}"
            assert set(lines[name]) <= runs.keys(), "one that has ended stands in line"
            assert called[name] <= {run.id for run in runs.values() if run.delivery}
            taken = len(claimed) + len(called[name])
            assert taken <= most, f"{taken} of {most} of {name} were given away"
            head = runs[lines[name][0]] if lines[name] else None
            if head is not None and "\n" not in head.limits:
                assert taken == most, f"{name} is idle, and {head.id} waits"
        for run in runs.values():
            if run.held and run.delivery and not any(run.id in line for line in lines.values()):
                uses = [line.partition("|")[0] for line in run.limits.splitlines()]
                assert all(run.id in called[name] for name in uses), f"{run.id} has no turn"


def play(store, seed):
    world = World(store, seed)
    for _ in range(MOVES):
        world.move()
    for run in world.runs():
        if run.delivery or run.token:
            store.connection.call(world.ends(run.id))
    assert store.left() == []
    assert store.plan(turns.keys_of(store.keys.slots, "")) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_in_each_order_it_goes_well(real_store, seed):
    """[L22] [L6]"""
    play(real_store, seed)


@pytest.mark.crash
@pytest.mark.parametrize("guard", GUARDS)
def test_without_a_guard_it_goes_wrong_in_some(link_to_real, real, keys, clock, guard):
    """[L22] Negative control of the one above."""
    link = Altered(link_to_real, *GUARDS[guard])
    for seed in SEEDS:
        real.flushdb()
        try:
            play(Limited(link, real, keys, clock), seed)
        except AssertionError:
            real.flushdb()
            return
    pytest.fail(f"nothing went wrong without: {guard}")
