"""
A seeded mix of all the attacks at once: `python -m tests.crash.chaos --seconds 60 --seed 7`.

Runs of every kind are submitted all the time while workers and the server are killed, workers
stopped and resumed, connections cut or left half-open, replies lost, runs cancelled and paused,
records damaged, groups submitted twice, breakers opened and closed, and user code does what none
should. Then the attacks stop, everything must end by itself, and the checker reads what is left.
All the while somebody asks why runs stand, and has the doctor mend. The last line counts; the exit
code is 0 only when its zeros hold. With `--appendfsync everysec` what a kill undid is counted as
lost and is no failure.
"""

from __future__ import annotations

import argparse
import logging
import random
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from stepflow import Client, RunSpec
from stepflow.errors import (
    InvalidOption,
    NotResumable,
    RunNotFound,
    SignalRefused,
    StepflowError,
    UnreadableRecord,
)
from tests.crash.controlled.breakers import APP, Breakers
from tests.crash.controlled.groups import Groups
from tests.crash.limits.gauge import Gauge
from tests.crash.support.app import path
from tests.crash.support.asking import Asker
from tests.crash.support.checker import Findings, check
from tests.crash.support.cluster import Cluster, Process
from tests.crash.support.on_time import OnTime
from tests.crash.support.proxy import CUT, HALVE, LOSE, PASS, SLOW, TWICE, Proxy

#: a traceback in a log: its frames, and what was raised
_TRACEBACK = re.compile(r"Traceback \(most recent call last\):\n(?:  .*\n)+.*\n")
#: requests that the proxy may send a second time: the scripts that stepflow itself may send again
ONCE = {"claim_steps", "BLPOP", "SUBSCRIBE", "PUBLISH", "MULTI", "EXEC"}
#: runner, payload, the states it may end in, weight
KINDS: list[tuple[str, object, str, int]] = [
    ("chain", path(10, pause=0.02), "succeeded", 6),
    ("chain", path(4, pause=0.3), "succeeded", 2),
    ("plain", path(4, pause=0.05), "succeeded", 2),
    ("delayed", path(4, delay=0.2), "succeeded", 2),
    ("flaky", path(3), "succeeded", 2),
    ("memo", path(2), "succeeded", 1),
    ("plain-memo", path(2), "succeeded", 1),
    ("verdict", path(3), "failed", 1),
    ("broken", path(1), "failed", 1),
    ("hopeless", path(1), "failed", 1),
    ("endless", path(1), "cancelled", 1),
    ("listener", path(1), "cancelled", 1),
    ("steps", 10, "succeeded", 2),
    ("walk", 15, "succeeded", 2),
    ("queuing", 7, "succeeded", 2),
    ("flow", 0.05, "succeeded", 2),
    ("saga", 0.02, "failed", 1),
    ("whole", 6, "succeeded", 1),
    ("race", 0.2, "succeeded", 1),
    ("odd", path(10), "succeeded", 1),
    ("forks", path(2), "succeeded", 1),
    ("far", path(1), "failed", 1),
    ("odd-flow", 5, "succeeded", 1),
    ("guarded", 1, "succeeded", 2),
]
#: what is written over a field of a run's record, or put into a set that all workers read
DAMAGES: list[tuple[str, bytes]] = [
    ("stop", b"garbage"), ("rev", b"zz"), ("step", b"-"), ("deadline", b"\xff"),
    ("failures", b"many"), ("inbox", b"1e999"), ("runner", b"chain@zz"), ("created", b"nan"),
    ("cleanup", b"9"), ("generation", b""), ("state", b"asleep"),
]  # fmt: skip
MEMBERS = [b"garbage", b"run", b"run:", b"hook:\xff", b":", b"claims", b"run:x-0:data"]
#: keys of the limit that every third run has, and how many of each may be at work at once
LIMIT, LIMITED, AT_ONCE = "gate", ("a", "b"), 3
#: schedules of each kind that fire meanwhile
SCHEDULES = 2
#: seconds everything is given to end once the attacks are over
PATIENCE_S = 120.0


class Chaos:
    """One seeded attack on one cluster."""

    def __init__(
        self, cluster: Cluster, proxy: Proxy, *, seed: int, workers: int, rate: float
    ) -> None:
        self._cluster, self._proxy, self._rate = cluster, proxy, rate
        self._dice = random.Random(seed)
        self._wire = random.Random(seed + 1)
        self._direct = Client(cluster.server.url, settings=cluster.settings)
        self._through = Client(proxy.url, settings=cluster.settings)
        self.on_time = OnTime(self._direct, SCHEDULES)
        self._direct.limits.set(LIMIT, concurrency=AT_ONCE)
        self.gauge = Gauge(lambda: cluster.server.client, LIMIT, LIMITED, AT_ONCE)
        self.groups = Groups(
            self._direct, [self._direct, self._through], cluster.sink, random.Random(seed + 3)
        )
        self.breakers = Breakers(self._direct, lambda: cluster.server.client, cluster.witness)
        self._crew = [self._new_worker() for _ in range(workers)]
        self._stopped: list[tuple[float, Process]] = []
        self.expected: dict[str, str] = {}
        self._doomed: list[str] = []
        #: workflows that wait for a word, or will
        self._awaiting: list[str] = []
        #: runs that were asked to pause, to be resumed
        self._paused: list[str] = []
        #: submits whose answer never came: such a run may be there or not
        self.uncertain: set[str] = set()
        #: runs whose records were damaged: they may end as they like, but must be got rid of
        self.victims: list[str] = []
        #: the runs that schedules must have begun
        self.scheduled: list[str] = []
        self.count: Counter[str] = Counter()
        self.asker = Asker(
            Client(cluster.server.url, settings=cluster.settings),
            lambda: list(self.expected)[-300:],
            seed=seed + 2,
        )

    def _new_worker(self) -> Process:
        environment = {"STEPFLOW_REDIS_URL": self._proxy.url} if self._dice.random() < 0.6 else {}
        environment["STEPFLOW_WORKER_SLICE_S"] = (
            "0.005"  # workflows make room for others every now and then
        )
        return self._cluster.worker(
            "--app",
            APP,
            "--concurrency",
            self._dice.choice(["40", "5"]),
            ready=False,
            **environment,
        )

    def go_on(self, seconds: float) -> None:
        """Attack for so long."""
        self._proxy.rule = self._spoil
        end = time.monotonic() + seconds
        acts: list[tuple[Callable[[], None], float]] = [
            (self._submit, self._rate), (self._cancel, 3.0), (self._signal, 20.0),
            (self._kill_worker, 1.0), (self._stop_worker, 0.3), (self._kill_server, 0.2),
            (self._take_over, 0.08), (self._proxy.cut_all, 0.3), (self._go_silent, 0.1),
            (self._damage, 2.0), (self._ask_for_the_impossible, 1.0), (self._pause, 10.0),
            (self._go_on_with_paused, 5.0), (self._pause_queue, 0.3),
            (self.groups.submit, 0.5), (self.breakers.open, 0.5), (self.breakers.close, 0.7),
        ]  # fmt: skip
        due = [
            (time.monotonic() + self._dice.expovariate(often), act, often) for act, often in acts
        ]
        while (now := time.monotonic()) < end:
            for number, (moment, act, often) in enumerate(due):
                if now >= moment:
                    act()
                    due[number] = (now + self._dice.expovariate(often), act, often)
            self._resume(now)
            self._replace_the_dead()
            time.sleep(0.005)

    def make_peace(self) -> None:
        """Stop attacking; what only a cancel ends is cancelled."""
        self._proxy.rule = lambda name: PASS
        self._resume(float("inf"))
        self._replace_the_dead()
        self._direct.resume_queue("default")
        self.breakers.make_peace()
        for run_id in self._paused:
            with suppress(NotResumable, RunNotFound, UnreadableRecord):
                self._direct.resume(run_id)
        for run_id in self._doomed + self.victims:
            self._direct.cancel(run_id, "peace")
        for run_id in self._awaiting:
            with suppress(SignalRefused, RunNotFound):
                self._direct.signal(run_id, "word", "peace", dedup="once")
        self.scheduled = self.on_time.stop()

    def close(self) -> None:
        self._direct.close()
        self._through.close()

    def _spoil(self, name: str) -> str:
        draw = self._wire.random()
        if draw > 0.004:
            return PASS
        what = self._wire.choice([LOSE, LOSE, HALVE, CUT, SLOW, TWICE])
        return PASS if what == TWICE and name in ONCE else what

    def _submit(self) -> None:
        """
        Submit a handful, sometimes one that is there already; by a client that may lose its
        replies, or not.
        """
        runner, payload, ends, _ = self._dice.choices(KINDS, [kind[3] for kind in KINDS])[0]
        count, client = self._dice.randint(1, 8), self._dice.choice([self._direct, self._through])
        start = len(self.expected)
        specs = [
            RunSpec(runner, payload, run_id=f"x-{start + n}", webhooks=[self._cluster.sink.webhook],
                    priority=self._dice.choice(["high", "normal", "low", 7]),
                    lane=self._dice.choice([None, "acme", f"t{self._dice.randrange(20)}"]),
                    limits=self._limits_of(runner))
            for n in range(count)
        ]  # fmt: skip
        if self.expected and self._dice.random() < 0.1:
            known = self._dice.choice(list(self.expected))
            self.count["asked_again"] += bool(client.status(known))
        for spec in specs:
            assert spec.run_id is not None
            self.expected[spec.run_id] = ends
            if runner in ("flow", "saga"):
                self._awaiting.append(spec.run_id)
            if ends == "cancelled":
                self._doomed.append(spec.run_id)
        try:
            client.submit_many(specs)
        except StepflowError:
            self.uncertain.update(str(spec.run_id) for spec in specs)

    def _limits_of(self, runner: str) -> dict[str, str]:
        """Give the limits of every third run; the steps of some have the same limit."""
        if runner == "queuing":
            return {}
        return self._dice.choice([{}, {}, {LIMIT: self._dice.choice(LIMITED)}])

    def _cancel(self) -> None:
        """Cancel a run, most likely one that waits for that."""
        if not self.expected:
            return
        doomed = self._doomed[-30:]
        run_id = (
            self._dice.choice(doomed)
            if doomed and self._dice.random() < 0.8
            else self._dice.choice(list(self.expected))
        )
        if "cancelled" not in self.expected[run_id]:
            self.expected[run_id] += "|cancelled"
        try:
            self.count["cancels"] += self._direct.cancel(run_id, "chaos")
        except StepflowError:
            self.count["cancels_refused"] += 1

    def _pause(self) -> None:
        """Pause one of the newest runs, wherever it stands."""
        if not self.expected:
            return
        run_id = self._dice.choice(list(self.expected)[-100:])
        self._paused.append(run_id)
        try:
            self._dice.choice([self._direct, self._through]).pause(run_id, "chaos")
            self.count["pauses"] += 1
        except StepflowError:
            self.count["pauses_refused"] += 1

    def _go_on_with_paused(self) -> None:
        """Resume some of those; one whose answer was lost is resumed at the end, too."""
        for run_id in self._dice.sample(self._paused, min(3, len(self._paused))):
            try:
                self._dice.choice([self._direct, self._through]).resume(run_id)
                self.count["resumes"] += 1
            except StepflowError:
                self.count["resumes_refused"] += 1

    def _pause_queue(self) -> None:
        """Pause the queue of all runs, or resume it."""
        with suppress(StepflowError):
            if not self._direct.pause_queue("default", "chaos"):
                self._direct.resume_queue("default")

    def _signal(self) -> None:
        """Give the word to some of the workflows that ask for it, now or later; twice is once."""
        for run_id in self._dice.sample(self._awaiting, min(4, len(self._awaiting))):
            try:
                self._dice.choice([self._direct, self._through]).signal(
                    run_id, "word", "chaos", dedup="once"
                )
            except (SignalRefused, RunNotFound):  # it has ended, or its submit was never answered
                self._awaiting.remove(run_id)
            except StepflowError:
                self.count["signals_refused"] += 1

    def _damage(self) -> None:
        """
        Write garbage over a field of a run's record, and put garbage into a set that all workers
        read.
        """
        redis, run_id = self._cluster.server.client, f"victim-{len(self.victims)}"
        field, garbage = self._dice.choice(DAMAGES)
        self.victims.append(run_id)
        with suppress(StepflowError):
            self._direct.submit(
                "chain",
                path(5, pause=0.05),
                run_id=run_id,
                timeout=self._dice.choice([None, 0.2]),
                delay=self._dice.choice([None, 0.1]),
            )
        key = self._dice.choice(
            ["claims", "due", "deadlines", "queued_at:default", "expiry", "waiting_lists"]
        )
        member, score = (
            self._dice.choice(MEMBERS),
            self._dice.choice([0.0, time.time(), time.time() + 0.5]),
        )
        with redis.pipeline(transaction=False) as pipe:
            pipe.hset(f"stepflow:run:{run_id}", field, garbage)
            if key == "waiting_lists":
                pipe.sadd(f"stepflow:{key}", member)
            else:
                pipe.zadd(f"stepflow:{key}", {member: score})
            pipe.execute(raise_on_error=False)
        self.count["damaged"] += 1

    def _ask_for_the_impossible(self) -> None:
        """
        Ask for times beyond all calendars, and for a listing: the one is refused, the other never
        is.
        """
        odd = self._dice.choice([timedelta.max, float("inf"), float("nan"), -1.0, 1e300])
        for option in ("delay", "timeout"):
            try:
                self._direct.submit("chain", path(1), **{option: odd})
            except InvalidOption:
                self.count["refused"] += 1
            else:
                raise AssertionError(f"{option}={odd} was accepted")
        self.count["listed"] += len(self._direct.list(limit=50).runs)

    def _go_silent(self) -> None:
        """
        Leave every connection through the proxy half-open: what goes over it vanishes, and nobody
        hangs up.
        """
        self._proxy.go_silent()
        self.count["silences"] += 1

    def _kill_worker(self) -> None:
        victim = self._dice.choice(self._crew)
        if victim.is_alive:
            victim.kill()
            self.count["worker_kills"] += 1

    def _stop_worker(self) -> None:
        """Stop a worker for longer than its lease."""
        victim = self._dice.choice(self._crew)
        if victim.is_alive:
            victim.send(signal.SIGSTOP)
            self._stopped.append((time.monotonic() + self._dice.uniform(2, 4), victim))
            self.count["worker_stops"] += 1
            self.breakers.note_stop()

    def _resume(self, now: float) -> None:
        for moment, process in list(self._stopped):
            if now >= moment:
                self._stopped.remove((moment, process))
                if process.is_alive:
                    process.send(signal.SIGCONT)

    def _replace_the_dead(self) -> None:
        for worker in list(self._crew):
            if not worker.is_alive:
                self._crew.remove(worker)
                self._crew.append(self._new_worker())

    def _kill_server(self) -> None:
        self._cluster.server.restart()

    def _take_over(self) -> None:
        self._cluster.server.take_over()


def undone(cluster: Cluster, chaos: Chaos) -> set[str]:
    """
    Name the runs that are not there though their submit was answered, or whose end was undone with
    its hook.
    """
    redis = cluster.server.client
    return {run_id for run_id in chaos.expected if not redis.exists(f"stepflow:run:{run_id}")}


def is_gone(cluster: Cluster, run_id: str) -> bool:
    """Say whether a damaged run has ended, or never was."""
    status = cluster.client.status(run_id)
    return status is None or status.is_finished


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument(
        "--rate", type=float, default=12.0, help="submits a second, each of a few runs"
    )
    parser.add_argument("--durability", default="everysec")
    parser.add_argument("--appendfsync", choices=["always", "everysec"], default="always")
    options = parser.parse_args()
    logging.getLogger("asyncio").setLevel(
        logging.ERROR
    )  # the proxy writes to connections that were cut: that is its job
    print(
        f"chaos for {options.seconds:g} s, seed {options.seed}, appendfsync {options.appendfsync}",
        flush=True,
    )
    chosen = {"STEPFLOW_DURABILITY": options.durability}
    with Cluster(appendfsync=options.appendfsync, **chosen) as cluster:
        with Proxy(cluster.server.socket, cluster.folder / "proxy.sock") as proxy:
            chaos = Chaos(
                cluster, proxy, seed=options.seed, workers=options.workers, rate=options.rate
            )
            try:
                found, missing = attack(chaos, cluster, options.seconds)
            finally:
                for process in cluster.processes:
                    process.kill_group()
                chaos.close()
        return report(chaos, cluster, found, missing, strict=options.appendfsync == "always")


def attack(chaos: Chaos, cluster: Cluster, seconds: float) -> tuple[Findings, set[str]]:
    """Attack, make peace, wait for all to end, and check."""
    chaos.asker.start()
    chaos.gauge.start()
    chaos.breakers.start()
    chaos.go_on(seconds)
    chaos.make_peace()
    missing = undone(cluster, chaos)
    there = {run_id: ends for run_id, ends in chaos.expected.items() if run_id not in missing}
    began = time.monotonic()
    stuck = chaos.groups.settle(PATIENCE_S)
    there |= chaos.groups.expected
    try:
        cluster.all_ended([*there, *chaos.scheduled])
    except AssertionError as error:
        stuck.append(str(error))
    stuck += chaos.breakers.left()
    print(f"at peace all ended within {time.monotonic() - began:.1f} s", flush=True)
    chaos.asker.stop()
    chaos.gauge.stop()
    chaos.breakers.stop()
    cluster.client.limits.forget(LIMIT)
    off_time = chaos.on_time.wrong()
    chaos.on_time.delete()
    controlled = [*chaos.groups.wrong(), *chaos.breakers.wrong[:10]]
    groups = chaos.groups.forget()
    found = check(cluster, there)
    found.doubled += controlled
    found.stuck += stuck
    found.stuck += [
        f"{run_id} was damaged and has not ended"
        for run_id in chaos.victims
        if not is_gone(cluster, run_id)
    ]
    found.doubled += off_time
    found.doubled += chaos.gauge.wrong[:10]
    print(chaos.gauge.told, chaos.breakers.told, f"groups: {groups}", sep="\n", flush=True)
    found.lost += [f"run {run_id} is not there" for run_id in sorted(missing - chaos.uncertain)]
    return found, missing


def own_tracebacks(said: str) -> list[str]:
    """
    Give the tracebacks of stepflow itself: what steps and detached tasks of user code raise is
    logged with one of theirs.
    """
    return [found for found in _TRACEBACK.findall(said) if "/crash/support/" not in found]


def report(
    chaos: Chaos, cluster: Cluster, found: Findings, missing: set[str], *, strict: bool
) -> int:
    """Print what was found, and the one line that counts."""
    for said in found.all()[:40]:
        print(said)
    asker = chaos.asker
    for said in asker.wrong[:20]:
        print(said)
    for process in cluster.processes:
        for traceback in own_tracebacks(process.said):
            print(f"in {process.log}: {traceback}")
            chaos.count["tracebacks"] += 1
    shown = (
        "asked_again",
        "cancels",
        "pauses",
        "resumes",
        "worker_stops",
        "silences",
        "damaged",
        "refused",
        "listed",
        "tracebacks",
    )
    print(
        *(f"{name}={chaos.count[name]}" for name in shown),
        f"yields={found.yields} attempts_lost={found.attempts_lost}",
        f"scheduled={len(chaos.scheduled)} uncertain={len(chaos.uncertain)}",
        f"left_over={len(found.left_over)}",
    )
    codes = sorted(code for code in asker.count if "." in code or code.startswith("X"))
    print(
        *(f"{name}={asker.count[name]}" for name in ("asked", "held", "examined", *codes)),
        f"wrong_answers={len(asker.wrong)}",
    )
    print(
        f"runs={len(chaos.expected) - len(missing)} worker_kills={chaos.count['worker_kills']} "
        f"server_kills={cluster.server.kills} takeovers={cluster.server.takeovers} "
        f"lost={len(found.lost)} doubled={len(found.doubled)} "
        f"stuck={len(found.stuck)} hooks_missing={len(found.hooks_missing)}",
        flush=True,
    )
    wrong = [*found.doubled, *found.stuck, *found.left_over, *asker.wrong] + (
        [*found.lost, *found.hooks_missing] if strict else []
    )
    return 1 if wrong or chaos.count["tracebacks"] else 0


if __name__ == "__main__":
    sys.exit(main())
