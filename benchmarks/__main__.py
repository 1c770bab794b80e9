"""`python3 dev.py bench [W1 ...] [--json] [--reps N]`: the workloads beside what the server itself can do, in one run."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from stepflow import embedded

WORKLOADS = {
    "W1": "chain: 200 runs x 10 trivial steps, submitted first, one worker process (steps/s)",
    "W2": "latency: one such run at a time, submit to result (ms)",
    "W3": "queue: 5,000 one-step no-op runs (runs/s)",
    "W4": "in flight: 2,000 runs, one step awaiting asyncio.sleep(1) (s)",
    "W5": "submit_many of 20,000 (runs/s)",
}


def line(module: str, url: str, *arguments: str) -> dict[str, Any]:
    """Run one workload in a process of its own and read its line."""
    command = [sys.executable, "-m", f"benchmarks.{module}", "--redis", url, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def figure(row: dict[str, Any]) -> tuple[float, float, float]:
    """Give the workload's own figure: median, least, most."""
    if row["workload"] == "W2":
        return row["p50_ms"], row["p50_min"], row["p99_ms"]
    if row["workload"] == "W4":
        return row["seconds"], row["n"] / row["per_s_max"], row["n"] / row["per_s_min"]
    name = "steps_per_s" if row["workload"] == "W1" else "per_s"
    return row[name], row[f"{name}_min"], row[f"{name}_max"]


def main() -> None:
    """Measure what was asked for and print a table, or a line each."""
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("workloads", nargs="*", choices=[*WORKLOADS, []], help="all of them without one")
    parser.add_argument("--json", action="store_true", help="a JSON line each")
    parser.add_argument("--reps", default="5")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = embedded.ensure(Path(folder))
        try:
            measure(args, server.url, server.name)
        finally:
            embedded.stop(Path(folder))


def measure(args: argparse.Namespace, url: str, server: str) -> None:
    """Measure against a fresh server: the limit first and last, the workloads between."""
    limits = [line("limit", url, "-w", "limit", "--reps", args.reps)]
    rows = [line("workloads", url, "-w", name, "--reps", args.reps) for name in args.workloads or WORKLOADS]
    limits.append(line("limit", url, "-w", "limit", "--reps", args.reps))
    ceiling = sum(row["per_s"] for row in limits) / len(limits)
    if args.json:
        for row in [*limits, *rows]:
            rate = row.get("steps_per_s") or row["per_s"]
            print(json.dumps(row | {"ratio_to_limit": round(rate / ceiling, 3)}))
        return
    first, last = (row["per_s"] for row in limits)
    print(f"{server}, AOF everysec, unix socket; ceiling {ceiling:,.0f} scripts/s ({first:,.0f}, {last:,.0f})\n")
    for row in rows:
        median, low, high = figure(row)
        rate = row.get("steps_per_s") if row["workload"] == "W1" else None
        ratio = f"  {rate / ceiling:.2f} of the ceiling" if rate else ""
        memory = f"  {row['rss_mb']:.0f} MB" if row.get("rss_mb") else ""
        print(f"{WORKLOADS[row['workload']]:<78} {median:>10,.2f}  ({low:,.2f} to {high:,.2f}){ratio}{memory}")


if __name__ == "__main__":
    main()
