"""
A plain model of a budget, beside the scripts, over a thousand crashes.

`STEPFLOW_CRASHES=10000` looks longer.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

import stepflow
from stepflow.core.run import Run
from stepflow.store.budgets.spending import Reservation
from stepflow.store.connection.sync import SyncConnection
from tests.budgets.test_orderings import Bench

#: crashes that are injected, runs that spend, and what one call costs at most
CRASHES, RUNS, MOST = int(os.environ.get("STEPFLOW_CRASHES", "1000")), 20, 50


@dataclass
class Model:
    """What the budget must say: every call is settled once, lost once, or under way."""

    settled: int = 0
    lost: int = 0
    #: what the provider billed of calls that are lost
    lost_bill: int = 0
    #: by run, what is reserved, and what the provider has billed of that
    open: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def reserved(self) -> int:
        return sum(most for most, _ in self.open.values())

    @property
    def bill(self) -> int:
        return self.settled + self.lost_bill + sum(billed for _, billed in self.open.values())

    def lose(self, run: str) -> None:
        most, billed = self.open.pop(run, (0, 0))
        self.lost, self.lost_bill = self.lost + most, self.lost_bill + billed

    def settle(self, run: str) -> None:
        self.settled += self.open.pop(run)[1]


class Worker:
    """Carries the calls of one run, and is killed between any two things that it does."""

    def __init__(self, bench: Bench, model: Model, run_id: str, rng: random.Random) -> None:
        self.bench, self.model, self.id, self.rng = bench, model, run_id, rng
        self.claims = self.entries = 0
        self.run: Run = bench.claimed(run_id)
        self.crashes = 0

    def is_killed(self) -> bool:
        """Whether the worker is gone here; another claims the run then."""
        if self.rng.random() > 0.4:
            return False
        self.crashes += 1
        self.claims += 1
        self.run = self.bench.claimed(self.id, token=f"w.{self.claims}.x")
        return True

    def call(self) -> None:
        """Make one attempt of a call."""
        most, attempt = self.rng.randint(1, MOST), f"{self.claims}.{self.entries}"
        self.model.lose(self.id)
        answer: Any = self.bench.reserve(self.run, most, attempt=attempt)
        assert isinstance(answer, Reservation)
        self.model.open[self.id] = (most, 0)
        if self.is_killed():
            return
        billed = self.rng.randint(0, most)
        self.model.open[self.id] = (most, billed)
        if self.is_killed():
            return
        entry = b"value|%d|ask|0.0|" % self.entries
        for _ in range(self.rng.randint(1, 2)):  # a lost reply has the write sent again
            assert self.bench.settle(self.run, answer, billed, index=self.entries, entry=entry)
        self.model.settle(self.id)
        self.entries += 1


@pytest.mark.crash
def test_settled_and_lost_are_the_bill_to_the_token_over_many_crashes(real):
    """[A12] After each call the budget says what the model says."""
    bench, rng = Bench(SyncConnection(real, "the test's server"), real), random.Random(12)
    bench.budget = stepflow.budget("b", tokens=10 * CRASHES * MOST)
    model = Model()
    workers = [Worker(bench, model, f"r{number}", rng) for number in range(RUNS)]
    calls = 0
    while sum(worker.crashes for worker in workers) < CRASHES:
        calls += 1
        rng.choice(workers).call()
        if calls % 50 == 0:
            assert bench.sums == (model.settled, model.reserved, model.lost)
    for worker in workers:
        model.lose(worker.id)
        bench.reserve(worker.run, 0, attempt="last")
    settled, reserved, lost = bench.sums
    assert (settled, reserved, lost) == (model.settled, 0, model.lost)
    assert settled <= model.bill == settled + model.lost_bill <= settled + lost
    real.flushall()
