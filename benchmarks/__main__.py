"""`python3 dev.py bench [W1 ...] [--json] [--reps N] [--no-peers]`: stepflow and its peers."""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from benchmarks import servers, table
from benchmarks.catalogue import WORKLOADS
from benchmarks.peers.catalogue import ABSENT, Line, lines
from benchmarks.peers.environment import command
from benchmarks.servers import Unavailable

#: seconds for all repetitions of one line
LONGEST_S = 1200
SERVERS = {"redis": servers.redis, "postgres": servers.postgres, "": lambda: nullcontext({})}


def main() -> None:
    """Measure what was asked for and print one table, or a line each."""
    parser = argparse.ArgumentParser(
        prog="bench", epilog="; ".join(f"{name}: {it.what}" for name, it in WORKLOADS.items())
    )
    parser.add_argument(
        "workloads", nargs="*", choices=[*WORKLOADS, []], help="all of them without one"
    )
    parser.add_argument("--json", action="store_true", help="a JSON line each")
    parser.add_argument("--reps", default="3", help="repetitions of each line that count")
    parser.add_argument("--no-peers", action="store_true", help="stepflow alone")
    args = parser.parse_args()
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM")
    )  # so that servers and folders go, too
    limits, rows = [limit(args.reps)], []
    for name in args.workloads or WORKLOADS:
        rows += [ours(name, line, args.reps) for line in WORKLOADS[name].lines]
        rows += [] if args.no_peers else theirs(name, args.reps)
        limits.append(limit(args.reps))
    ceiling = statistics.median(row["per_s"] for row in limits)
    rows = table.related(rows, ceiling)
    if args.json:
        print("\n".join(json.dumps(row) for row in [*limits, *rows]))
        return
    low, high = min(row["per_s_min"] for row in limits), max(row["per_s_max"] for row in limits)
    print(
        f"ceiling: {ceiling:,.0f} scripts of ten commands a second, pipelined by 50 ({low:,.0f} "
        f"to {high:,.0f})\n"
    )
    print("\n".join(table.lines(rows)))
    if not args.no_peers:
        print("\n" + "\n".join(f"not measured: {peer}: {why}" for peer, why in ABSENT.items()))


def limit(reps: str) -> dict[str, Any]:
    """Measure what the server itself can do."""
    return measured([sys.executable], "limit", "redis", "-w", "limit", "--reps", reps)


def ours(workload: str, line: str, reps: str) -> dict[str, Any]:
    """Measure a line of stepflow's."""
    return measured(
        [sys.executable],
        f"workloads.{WORKLOADS[workload].module}",
        "redis",
        "-w",
        workload,
        "--reps",
        reps,
        *line.split(),
    )


def theirs(workload: str, reps: str) -> Iterator[dict[str, Any]]:
    """Measure the peers that this machine can have; says of each other one why not."""
    for line in lines(workload):
        try:
            yield peer(line, reps)
        except Unavailable as reason:
            print(
                f"skipped: {line.workload} {line.peer}/{line.variant}: {reason}",
                file=sys.stderr,
                flush=True,
            )


def peer(line: Line, reps: str) -> dict[str, Any]:
    """Measure a line of a peer's; raises Unavailable."""
    arguments = ["-w", line.workload, "--variant", line.variant, "--n", str(line.n), "--reps", reps]
    return measured(command(line.peer), f"peers.{line.peer}", line.needs, *arguments)


def measured(python: list[str], module: str, needs: str, *arguments: str) -> dict[str, Any]:
    """
    Run one line in a process of its own, on a server of its own, and read what it found; raises
    Unavailable.
    """
    print("measuring", module, *arguments, file=sys.stderr, flush=True)
    root = Path(__file__).resolve().parent.parent
    with (
        SERVERS[needs]() as places,
        tempfile.TemporaryDirectory(prefix="stepflow-bench-") as scratch,
    ):
        words = [*python, "-m", f"benchmarks.{module}", *arguments]
        env = {**os.environ, **places, "TMPDIR": scratch, "PYTHONPATH": str(root)}
        try:
            done = subprocess.run(
                words,
                capture_output=True,
                text=True,
                check=False,
                cwd=root,
                env=env,
                timeout=LONGEST_S,
            )
        except subprocess.TimeoutExpired:
            raise Unavailable(f"no figure after {LONGEST_S} s") from None
    if done.returncode:
        raise Unavailable((done.stderr.strip().splitlines() or ["it ended without a word"])[-1])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    # a long run that is cut off has said something
    print("   ", done.stdout.splitlines()[-1], file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    main()
