"""
Steps that ask for limits, in every order that chance finds, beside a model: who has what.

Claims are lost at any moment, and each call of a worker may come again long after it was answered.
Guards are taken away one by one, and some order that went well goes wrong [L22].
"""

from __future__ import annotations

import random

import pytest

from stepflow.core.limits.slot import StepSlot
from stepflow.core.limits.use import LimitUse
from stepflow.core.run import RunState
from stepflow.engine.limits import turns
from stepflow.store.limits.steps import InLine, add_entry_limited, leave_slots, take_slots
from stepflow.store.runs import Fence, finish_run, hand_over, park_run
from tests.limits.conftest import Limited
from tests.limits.test_orderings import Altered

MOST = {"x": 1, "y": 2}
SEEDS, MOVES, STEPS = range(3), 60, ("0/1", "0/2", "0/3")

GUARDS = {
    "whose claim it is": ("if not row or row[1] ~= token then return {2} end", ""),
    "asks that are over": (
        "if is_past(soft('HGET', asks_key, '') or '', token, number) then return {3} end", ""
    ),
    "whose claim gives up": ("if soft('HGET', run_key, 'token') ~= token then return 0 end", ""),
    "slots given back": ("leave(at, ask.id, uses)", "local _ = 0"),
    "slots of claims that end": (
        "if of_steps ~= '' then give_back_of_steps(at, run_id, of_steps == 'all') end", ""
    ),
    "places that are kept": ("waits or ask.token ~= ''", "true"),
}  # fmt: skip


class World:
    """Runs whose steps ask; after each move all must hold that the model says."""

    def __init__(self, store, seed):
        self.store, self.dice, self.made, self.number = store, random.Random(seed), 0, 0
        #: steps that have their limits, and steps that stand in line for their runs
        self.has, self.waits = dict[tuple[str, str], StepSlot](), dict[tuple[str, str], StepSlot]()
        self.sent, self.written = [], dict[str, int]()
        for name, most in MOST.items():
            store.declare(name, concurrency=most)

    def move(self):
        claimed = [run for run in self.runs() if run.token]
        acts = ["submit", "claim", "claim", "ask", "ask", "ask", "done", "done", "leave", "park"]
        act = self.dice.choice([*acts, "lost", "end", "late", "late", "later"])
        run = self.dice.choice(claimed) if claimed else None
        match act:
            case "submit":
                self.made += 1
                uses = [["x"], ["y"], [], []][self.dice.randrange(4)]
                self.store.submit(f"r{self.made}", *uses)
            case "claim":
                self.store.batch(limit=self.dice.randint(1, 3))
            case "late" if self.sent:
                call, key = self.dice.choice(self.sent)
                if self.store.connection.call(call) is True and key in self.waits:
                    self.has[key] = self.waits.pop(key)  # it was called, and its worker woken
            case "later":
                self.store.clock.advance(self.dice.choice([0.1, 1.5]))
                for name in MOST:
                    self.store.plan(turns.call_lines(name, self.store.env))
            case _ if run is not None:
                getattr(self, f"_{act}", lambda run: None)(run)
        self.check()

    def _ask(self, run):
        step = self.dice.choice(STEPS)
        own = {line.partition("|")[0] for line in run.limits.splitlines()}
        names = [name for name in MOST if name not in own]
        if (run.id, step) in self.has or not names:
            return
        before, self.number = self.waits.get((run.id, step)), self.number + 1
        uses = before.uses if before else [
            LimitUse(name) for name in self.dice.sample(names, self.dice.randint(1, len(names)))
        ]  # fmt: skip
        slot = StepSlot(step, self.number, uses)
        takes_place = before is None and self.dice.random() < 0.5
        if takes_place:  # those of its run that want the same ask no more
            for key, other in list(self.waits.items()):
                if key[0] == run.id and [use.name for use in other.uses] == [
                    use.name for use in uses
                ]:
                    del self.waits[key]
        call = take_slots(
            self.store.keys, run, run.token, slot, name="s", said={}, first_since=None,
            takes_place=takes_place, given=self.store.clock.given,
        )  # fmt: skip
        answer = self.twice(call, (run.id, step))
        assert isinstance(answer, InLine) or answer is True
        self.waits.pop((run.id, step), None)
        (self.has if answer is True else self.waits)[run.id, step] = slot

    def _done(self, run):
        mine = [slot for (run_id, _), slot in self.has.items() if run_id == run.id]
        if not mine:
            return
        slot, index = self.dice.choice(mine), self.written.get(run.id, 0)
        self.written[run.id] = index + 1
        answer = self.twice(
            add_entry_limited(
                self.store.keys, run, run.token, index, b"e%d" % index, None, slots=[slot],
                rests=[], given=self.store.clock.given, now=self.store.now,
            )
        )  # fmt: skip
        assert answer == 1
        del self.has[run.id, slot.step]

    def _leave(self, run):
        mine = [key for key in (*self.has, *self.waits) if key[0] == run.id]
        if mine:
            key = self.dice.choice(mine)
            slot = self.has.pop(key, None) or self.waits.pop(key)
            self.twice(
                leave_slots(
                    self.store.keys, run, run.token, [slot], given=self.store.clock.given,
                    now=self.store.now,
                )
            )  # fmt: skip

    def _park(self, run):
        stand = {each for name in MOST for each in self.store.line(name)}
        mine = {f"{run_id}/{step}" for run_id, step in self.waits if run_id == run.id}
        if any(run_id == run.id for run_id, _ in self.has) or not mine <= stand:
            return  # its worker knows of those that were called, and asks for them
        fence = Fence(run.token, str(run.step), f"{run.token} ok")
        self.store.connection.call(
            park_run(
                self.store.keys, run, fence, due_at=None, inbox=run.inbox, waits_for="limit",
                now=self.store.now,
            )
        )  # fmt: skip

    def _lost(self, run):
        self.store.connection.call(
            hand_over(
                self.store.keys, run, Fence("", f"lost-{run.rev}"), state=RunState.PENDING,
                step=run.step, failures=0, crashes=run.crashes + 1, due_at=None,
                now=self.store.now,
            )
        )  # fmt: skip
        self.has = {key: slot for key, slot in self.has.items() if key[0] != run.id}

    def _end(self, run):
        fence = Fence(run.token, str(run.step), f"{run.token} ok")
        self.store.connection.call(
            finish_run(
                self.store.keys, run, fence, state=RunState.SUCCEEDED, now=self.store.now, ttl_s=60
            )
        )
        for steps in (self.has, self.waits):
            for key in [key for key in steps if key[0] == run.id]:
                del steps[key]

    def twice(self, call, asked=None):
        """The reply may be lost, and the call sent again, then or later."""
        self.sent.append((call, asked))
        for _ in range(self.dice.choice([0, 0, 1])):
            self.store.connection.call(call)
        return self.store.connection.call(call)

    def runs(self):
        ids = self.store.client.zrange(self.store.keys.live, 0, -1)
        return [self.store.load(each.decode()) for each in ids]

    def called(self, name):
        since = self.store.now - 1
        found = self.store.client.zrangebyscore(f"stepflow:called:{name}:", since, "+inf")
        return {each.decode() for each in found}

    def check(self):
        runs = {run.id: run for run in self.runs()}
        for name, most in MOST.items():
            of_runs = {run.id for run in runs.values() if run.token and f"{name}|" in run.limits}
            of_steps = {
                f"{run_id}/{step}"
                for (run_id, step), slot in self.has.items()
                if any(use.name == name for use in slot.uses)
            }
            slots, line, called = self.store.slots(name), self.store.line(name), self.called(name)
            assert slots == of_runs | of_steps, f"{name} has other slots"
            assert len(slots | called) <= most, f"{len(slots | called)} of {most} were given away"
            heads = [
                slot for (run_id, step), slot in self.waits.items()
                if line and f"{run_id}/{step}" == line[0] and len(slot.uses) == 1
            ]  # fmt: skip
            if heads:
                assert len(slots | called) == most, f"{name} is idle, and {line[0]} waits"
            for place in called:
                run = runs.get(place.partition("/")[0])
                assert run is None or run.parked != "inbox", f"nobody woke {place}"
        waiting = {f"{run_id}/{step}" for run_id, step in self.waits}
        stand = {each for name in MOST for each in self.store.line(name) if "/" in each}
        assert stand <= waiting, "one stands in line that does not wait"
        for run_id in {run_id for run_id, _ in self.waits}:
            asks = self.store.client.hkeys(f"stepflow:run:{run_id}:asks")
            kept = {f"{run_id}/{each.decode()}" for each in asks if each}
            assert {each for each in waiting if each.startswith(f"{run_id}/")} <= kept


def play(store, seed):
    world = World(store, seed)
    for _ in range(MOVES):
        world.move()
    for run in world.runs():
        world._end(store.load(run.id))
    assert store.left() == []
    assert store.client.keys("stepflow:run:*:asks") == []


@pytest.mark.parametrize("seed", SEEDS)
def test_in_each_order_it_goes_well(real_store, seed):
    """[L11] [L22] Never above a limit, never idle, each place in line kept."""
    play(real_store, seed)


@pytest.mark.crash
@pytest.mark.parametrize("guard", GUARDS)
def test_without_a_guard_it_goes_wrong_in_some(link_to_real, real, keys, clock, guard):
    """[L22] Negative control of the one above."""
    link = Altered(link_to_real, *GUARDS[guard])
    for seed in range(16):
        real.flushdb()
        try:
            play(Limited(link, real, keys, clock), seed)
        except AssertionError:
            real.flushdb()
            return
    pytest.fail(f"nothing went wrong without: {guard}")
