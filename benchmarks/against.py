"""
Two checkouts in turn on one server: what a change costs, or gains.

`python -m benchmarks.against OTHER [--rounds 5] [--python INTERPRETER ...] [--only W1 W2]` measures
the checkout in the folder OTHER and this one, line by line, each with its own benchmarks, and
prints medians; after SIGINT those that there are. With several interpreters, each is a column of
its own; they need stepflow's dependencies, and stepflow itself is taken from the checkout.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import servers

HERE = Path(__file__).resolve().parent.parent
#: what a blocking submit costs its client: the least of forty slices, in microseconds of CPU time
SUBMIT = """
import json, os, time
from stepflow import Client
client = Client(os.environ["BENCH_REDIS"])
def slice_us():
    began = time.thread_time()
    for _ in range(50):
        client.submit("chain", {"steps": 10})
    return (time.thread_time() - began) / 50 * 1e6
print(json.dumps({"cpu_us": min(slice_us() for _ in range(40))}))
client.connection.close()
"""


class Line(NamedTuple):
    """One row: a workload with its arguments, and the figure of it that is shown."""

    workload: str
    what: str
    module: str
    arguments: str
    figure: str


CHAIN, FLOW = "--n 1000", "--n 800 --variant flow"
LINES = (
    Line("W1", "chain, Python a step, us", "w1_chain", CHAIN, "python_us_per_step"),
    Line("W1", "flow, Python a step, us", "w1_chain", FLOW, "python_us_per_step"),
    Line("W1", "chain, steps/s", "w1_chain", CHAIN, "steps_per_s"),
    Line("W1", "flow, steps/s", "w1_chain", FLOW, "steps_per_s"),
    Line("W1", "chain, commands a step", "w1_chain", CHAIN, "commands_per_step"),
    Line("W1", "flow, commands a step", "w1_chain", FLOW, "commands_per_step"),
    Line("W2", "chain, p50, ms", "w2_latency", "", "p50_ms"),
    Line("W2", "flow, p50, ms", "w2_latency", "--variant flow", "p50_ms"),
    Line("W3", "Python a run, us", "w3_queue", "", "python_us_per_step"),
    Line("W3", "runs/s", "w3_queue", "", "per_s"),
    Line("W3", "commands a run", "w3_queue", "", "commands_per_step"),
    Line("W5", "runs/s", "w5_submit", "", "per_s"),
    Line("submit", "blocking submit, CPU, us", "", "", "cpu_us"),
)


class Column(NamedTuple):
    """A checkout under one interpreter."""

    name: str
    root: Path
    python: str


def main() -> None:
    """Measure what was asked for and print a table."""
    parser = argparse.ArgumentParser(prog="against")
    parser.add_argument("other", type=Path, help="another checkout; this one, to compare Pythons")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--python", nargs="*", default=[sys.executable], help="interpreters")
    parser.add_argument("--only", nargs="*", help="workloads; all of them without one")
    args = parser.parse_args()
    columns = columns_of(args.other.resolve(), args.python)
    lines = [line for line in LINES if not args.only or line.workload in args.only]
    found: dict[tuple[Line, Column], list[float]] = {}
    with suppress(KeyboardInterrupt):
        for number in range(args.rounds):
            for column in columns if number % 2 == 0 else reversed(columns):
                for line, figure in measured(lines, column):
                    found.setdefault((line, column), []).append(figure)
    print(f"| | {' | '.join(column.name for column in columns)} |")
    print(f"| --- |{' --- |' * len(columns)}")
    for line in lines:
        medians = (shown(found.get((line, column), [])) for column in columns)
        print(f"| {line.workload} {line.what} | {' | '.join(medians)} |")


def columns_of(other: Path, pythons: list[str]) -> list[Column]:
    """Give the columns: each checkout under each interpreter, those of one checkout together."""
    roots = [other] if other == HERE else [other, HERE]
    pairs = [(root, python) for root in roots for python in pythons]
    if len(pythons) == 1:
        return [Column(root.name, root, python) for root, python in pairs]
    return [
        Column(f"{root.name}, {Path(python).parent.parent.name}", root, python)
        for root, python in pairs
    ]


def measured(lines: list[Line], column: Column) -> list[tuple[Line, float]]:
    """Run each command that the lines name once, and read their figures out of it."""
    said: dict[tuple[str, ...], dict[str, Any]] = {}
    figures = []
    for line in lines:
        key = (line.workload, line.module, line.arguments)
        if key not in said:
            said[key] = run(line, column)
        figures.append((line, float(said[key].get(line.figure) or 0.0)))
    return figures


def run(line: Line, column: Column) -> dict[str, Any]:
    """Run one command on a server of its own."""
    command = ["-m", f"benchmarks.workloads.{line.module}", "-w", line.workload, "--reps", "1"]
    words = [column.python, *command, *line.arguments.split()]
    if not line.module:
        words = [column.python, "-c", SUBMIT]
    with servers.redis() as places:
        env = {**os.environ, **places, "PYTHONPATH": str(column.root), "BENCH_PATIENCE": "2"}
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, cwd=column.root, env=env
        )
    if done.returncode:
        sys.exit(f"{column.name}, {line.workload}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def shown(figures: list[float]) -> str:
    """Write a median, and from where to where the rounds went."""
    if not figures:
        return "-"
    middle = statistics.median(figures)
    digits = 0 if middle >= 1000 else 2
    return f"{middle:,.{digits}f} ({min(figures):,.{digits}f} to {max(figures):,.{digits}f})"


if __name__ == "__main__":
    main()
