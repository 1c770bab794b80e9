"""
Somebody who asks `why` of live runs and has the doctor mend, while everything is attacked.

`why` never says of a run what its record did not say, and never calls broken what heals by itself
[O3]; the doctor finds nothing to mend [O7].
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from stepflow import Client
from stepflow.core.run import Run, RunState
from stepflow.engine.doctor import examine
from stepflow.engine.doctor.model import LEFTOVER, Report
from stepflow.engine.why import Why
from stepflow.errors import StepflowError
from stepflow.store.connection.sync import carry_out
from stepflow.store.runs import load_run

#: the words that may stand for a state; `stopping` for any live one that was asked to stop
WORDS = {
    RunState.RUNNING: {"running"}, RunState.PENDING: {"queued", "blocked", "held"},
    RunState.SCHEDULED: {"scheduled"}, RunState.WAITING: {"waiting", "held"},
    RunState.PAUSED: {"paused"},
    RunState.SUCCEEDED: {"ended"}, RunState.FAILED: {"ended"}, RunState.CANCELLED: {"ended"},
}  # fmt: skip


class Asker:
    """
    Asks from a thread of its own.

    *runs* gives the runs to ask of; those that were damaged on purpose are not among them.
    """

    def __init__(self, client: Client, runs: Callable[[], Sequence[str]], *, seed: int) -> None:
        self._client, self._runs = client, runs
        self._dice = random.Random(seed)
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(self._ask, 0.05), daemon=True),
            threading.Thread(target=self._repeat, args=(self._examine, 2.0), daemon=True),
        ]
        self.count: Counter[str] = Counter()
        self.wrong: list[str] = []

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(timeout=30)

    def _repeat(self, act: Callable[[], None], every_s: float) -> None:
        while not self._over.wait(every_s):
            try:
                act()
            except StepflowError:
                self.count["refused"] += 1
            except Exception as error:  # noqa: BLE001  told at the end, with what else is wrong
                self.wrong.append(f"asking raised {error!r}")

    def _ask(self) -> None:
        """Ask of some runs; those that did not move meanwhile are held to their records."""
        known = self._runs()
        for run_id in self._dice.sample(known, min(4, len(known))):
            before = self._load(run_id)
            began = time.time()
            why = self._client.why(run_id)
            after = self._load(run_id)
            self.count["asked"] += 1
            self.count[why.code] += 1
            if why.word == "broken":
                self.wrong.append(f"{run_id} was called broken: {why!r}")
            elif before is not None and after is not None and before.rev == after.rev:
                self._hold(why, before, time.time() - began)

    def _hold(self, why: Why, run: Run, took_s: float) -> None:
        self.count["held"] += 1
        words = WORDS[run.state] | ({"stopping"} if run.stop is not None else set())
        if run.stop is not None and not run.is_finished:
            words = {"stopping"} | (words & {"paused"})
        if why.word not in words:
            self.wrong.append(
                f"{run.id} is {run.state}, and why says {why!r}, after {took_s:.2f} s"
            )

    def _load(self, run_id: str) -> Run | None:
        return self._client.connection.call(load_run(self._client.env.keys, run_id))

    def _examine(self) -> None:
        """Have the doctor mend all that it finds: nothing, but of what was damaged on purpose."""
        steps = examine(self._client.env, repair=True)
        wait_s, plan = next(steps)
        report: Report | None = None
        while report is None and not self._over.wait(wait_s):
            answer = carry_out(self._client.connection, plan)
            try:
                wait_s, plan = steps.send(answer)
            except StopIteration as end:
                report = end.value
        if report is None:
            return
        self.count["examined"] += 1
        known = set(self._runs())
        for finding in report.findings:
            if finding.code != LEFTOVER and finding.where in known:
                self.wrong.append(f"the doctor found {finding!r}")
