"""The workloads, the figure that each reports, and the variants of stepflow that take part."""

from __future__ import annotations

from dataclasses import dataclass

_BOTH = ("--variant chain", "--variant flow")


@dataclass(frozen=True, slots=True)
class Workload:
    """
    A workload: its file, what it is, its own figure's name and unit, and the arguments of
    stepflow's lines.
    """

    module: str
    what: str
    figure: str
    unit: str
    lines: tuple[str, ...] = ("",)
    #: whether the figure is a rate that the server's ceiling bounds
    bounded: bool = False
    rises: bool = True


WORKLOADS = {
    "W1": Workload(
        "w1_chain",
        "200 runs of 10 trivial steps, submitted first, one worker process",
        "steps_per_s",
        "steps/s",
        _BOTH,
        bounded=True,
    ),
    "W2": Workload(
        "w2_latency",
        "one such run at a time, submit to result",
        "p50_ms",
        "ms p50",
        _BOTH,
        rises=False,
    ),
    "W3": Workload(
        "w3_queue", "5,000 one-step no-op runs, one worker process", "per_s", "runs/s", bounded=True
    ),
    "W4": Workload(
        "w4_in_flight",
        "2,000 runs, one step awaiting asyncio.sleep(1)",
        "seconds",
        "s",
        rises=False,
    ),
    "W5": Workload("w5_submit", "submit_many of 20,000", "per_s", "runs/s", bounded=True),
    "W6": Workload(
        "w6_memory",
        "100,000 runs asleep; lateness of 1,000 more that wake",
        "bytes_per_run",
        "bytes each",
        ("--variant delayed", "--variant parked", "--variant flow"),
        rises=False,
    ),
    "W7": Workload(
        "w7_growth",
        "20,000 steps where there is more of something, relative to the small case",
        "steps_per_s",
        "steps/s",
        tuple(
            f"--runner {runner} --variant {what}"
            for runner in ("chain", "flow")
            for what in (
                "finished-1000",
                "finished-10000",
                "finished-100000",
                "steps-100",
                "steps-1000",
                "processes-2",
                "processes-4",
            )
        ),
        bounded=True,
    ),
    "W8": Workload(
        "w8_wake_up",
        "how late a step begins: timer due, signal sent, run submitted",
        "p50_ms",
        "ms p50",
        ("--variant timer", "--variant signal", "--variant submit"),
        rises=False,
    ),
    "output": Workload(
        "output",
        "an item that a step emits, to the client that reads",
        "p50_ms",
        "ms p50",
        ("--variant tokens", "--variant flood"),
        rises=False,
    ),
    "agents": Workload(
        "agents.calls",
        "agents: stop to the provider's closed connection, token to reader, cost of a unit, a turn",
        "p50_ms",
        "ms p50",
        ("--variant stop", "--variant token", "--variant unit", "--variant turn"),
        rises=False,
    ),
    "schedules": Workload(
        "schedules",
        "how late the run of a schedule begins: one a second, 1,000 in the same second",
        "p50_ms",
        "ms p50",
        ("--variant one", "--variant burst"),
        rises=False,
    ),
    "fairness": Workload(
        "fairness",
        "wait of tenants with little beside one with 100,000 runs: 2, 100, 10,000 tenants; weights",
        "p99_ms",
        "ms p99",
        ("--variant 2", "--variant 100", "--variant 10000", "--variant weights"),
        rises=False,
    ),
    "limits": Workload(
        "limits",
        "a claim with 100,000 queued over 10,000 keys of a limit, and without limits",
        "p50_ms",
        "ms",
        ("--variant many", "--variant none"),
        rises=False,
    ),
    "archive": Workload(
        "archive",
        "2,000 runs of 10 trivial steps with an archive beside Redis, and without",
        "steps_per_s",
        "steps/s",
        ("--variant off", "--variant on"),
        bounded=True,
    ),
    "durability": Workload(
        "durability",
        "500 runs of 10 trivial steps at a durability, by the server's appendfsync",
        "steps_per_s",
        "steps/s",
        (
            "--variant everysec-everysec",
            "--variant everysec-always",
            "--variant fsync-always",
            "--variant replicated-always",
        ),
        bounded=True,
    ),
    "lists": Workload(
        "reading.lists",
        "first page of each list, with a million finished runs",
        "p50_ms",
        "ms p50",
        rises=False,
    ),
    "doctor": Workload(
        "reading.doctor", "stepflow doctor, 100,000 live runs", "seconds", "s", rises=False
    ),
    "map": Workload(
        "map", "ctx.map over 10,000 children, two worker processes", "seconds", "s", rises=False
    ),
    "batch": Workload(
        "batch", "ctx.batch over 10,000 items, one worker process", "seconds", "s", rises=False
    ),
    "pages": Workload(
        "reading.pages",
        "the page of a run of 100,000 steps, 5,000 journal entries, 10,000 children",
        "p50_ms",
        "ms p50",
        ("--variant chain", "--variant journal", "--variant map"),
        rises=False,
    ),
    "replay": Workload(
        "replay",
        "signal to next step, 5,000 remembered steps replayed each time",
        "p50_ms",
        "ms p50",
        rises=False,
    ),
    "scrape": Workload(
        "reading.scrape",
        "a scrape of the metrics, 1,000,000 ended runs",
        "p50_ms",
        "ms p50",
        ("--variant 20", "--variant 200"),
        rises=False,
    ),
}
