"""Shared plumbing of the peer baselines: stdlib only, Linux only.

Every peer script prints ONE JSON line per (peer, workload): the median repetition,
with min/max over repetitions, and the share of the machine that processes outside
the measurement used meanwhile (`foreign_cpu`, 0..1 of all cores).
"""

import argparse
import ctypes
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from importlib import metadata

from benchmarks.marks import Marks, hit  # noqa: F401

CLK = os.sysconf("SC_CLK_TCK")
NCPU = os.cpu_count() or 1


# ---------------------------------------------------------------- arguments
def args(workloads, size=0, **defaults):
    p = argparse.ArgumentParser()
    p.add_argument("--workload", "-w", required=True, choices=workloads)
    p.add_argument("--variant", default=defaults.pop("variant", ""))
    p.add_argument("--n", type=int, default=0, help="runs or jobs; 0 = default")
    p.add_argument("--steps", type=int, default=10)
    p.add_argument("--reps", type=int, default=3)
    p.add_argument("--redis", default=os.environ.get("BENCH_REDIS", "redis://127.0.0.1:6391/0"))
    p.add_argument("--pg", default=os.environ.get("BENCH_PG", "postgresql://bench:bench@127.0.0.1:5439/bench"))
    for k, v in defaults.items():
        p.add_argument("--" + k.replace("_", "-"), default=v, type=type(v) if v is not None else str)
    a = p.parse_args()
    if not a.n:
        a.n = {"W1": 200, "W2": 200, "W3": 5000, "W4": 2000}.get(a.workload, 0) or size
    return a


def version(*dists):
    out = []
    for d in dists:
        try:
            out.append(f"{d} {metadata.version(d)}")
        except metadata.PackageNotFoundError:
            pass
    return ", ".join(out)


def free_port():
    """A port that nobody listens to right now."""
    with socket.create_server(("127.0.0.1", 0)) as place:
        return place.getsockname()[1]


# ---------------------------------------------------------------- processes
def children(pid):
    out = []
    try:
        for t in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{t}/children") as f:
                for c in f.read().split():
                    out.append(int(c))
                    out += children(int(c))
    except OSError:
        pass
    return out


def cpu_s(pid):
    """CPU seconds of a process and of its reaped children."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            p = f.read().rsplit(")", 1)[1].split()
        return sum(int(x) for x in p[11:15]) / CLK
    except OSError:
        return 0.0


def rss_mb(pids):
    tot = 0
    for p in pids:
        try:
            with open(f"/proc/{p}/statm") as f:
                tot += int(f.read().split()[1])
        except OSError:
            pass
    return tot * os.sysconf("SC_PAGE_SIZE") / 2**20


class PeakRSS(threading.Thread):
    """Peak of the summed RSS of a process tree, sampled every 50 ms."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak, self.stop_ = pid, 0.0, False
        self.start()

    def run(self):
        while not self.stop_:
            self.peak = max(self.peak, rss_mb([self.pid] + children(self.pid)))
            time.sleep(0.05)

    def done(self):
        self.stop_ = True
        self.join()
        return round(self.peak, 1)


def server_pids():
    """Processes of the servers under test, given by the environment (space separated roots)."""
    roots = [int(x) for x in os.environ.get("BENCH_SERVER_PIDS", "").split()]
    return roots + [c for r in roots for c in children(r)]


def _busy():
    with open("/proc/stat") as f:
        v = [int(x) for x in f.readline().split()[1:9]]
    return (sum(v) - v[3] - v[4]) / CLK, v[7] / CLK


class Foreign:
    """Share of all cores used by processes that are neither ours nor the servers under test.

    Includes steal (cores the hypervisor did not give). `used` is the CPU time of ours and of
    the servers, start-up of workers included."""

    def __enter__(self):
        self.t, (self.b, self.st), self.o = time.monotonic(), _busy(), self._own()
        return self

    def _own(self):
        mine = [os.getpid()] + children(os.getpid())
        return {p: cpu_s(p) for p in set(mine + server_pids())}

    def __exit__(self, *exc):
        dt = time.monotonic() - self.t
        b, st = _busy()
        own = self._own()
        used = sum(max(0.0, v - self.o.get(p, 0.0)) for p, v in own.items())
        self.used = used
        self.share = round(max(0.0, (b - self.b - used)) / (dt * NCPU), 3) if dt else 0.0
        self.steal = round((st - self.st) / (dt * NCPU), 3) if dt else 0.0


def _subreaper():
    try:
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    except (OSError, AttributeError):
        pass


class Proc:
    """A worker we start and end by pid."""

    def __init__(self, cmd, env=None, cwd=None, log=None):
        _subreaper()
        root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        e = dict(os.environ, PYTHONPATH=root, **(env or {}))
        e.pop("PYTHONDONTWRITEBYTECODE", None)
        self.log = open(log or os.environ.get("BENCH_LOG", os.devnull), "ab")
        self.p = subprocess.Popen(
            cmd, env=e, cwd=cwd or root, stdout=self.log, stderr=self.log
        )
        self.pid = self.p.pid

    def stop(self, sig=signal.SIGTERM, wait=8):
        kids = children(self.pid)
        if self.p.poll() is None:
            self.p.send_signal(sig)
            try:
                self.p.wait(wait)
            except subprocess.TimeoutExpired:
                self.p.kill()
                self.p.wait()
        for k in kids:  # orphans come to us (see _subreaper), so their CPU time counts as ours
            try:
                os.kill(k, signal.SIGKILL)
                os.waitpid(k, 0)
            except OSError:
                pass
        self.log.close()


def wait_for(cond, timeout=300, poll=0.02, proc=None):
    end = time.monotonic() + timeout
    while True:
        if cond():
            return True
        if proc is not None and proc.p.poll() is not None:
            raise RuntimeError(f"worker ended with {proc.p.returncode}")
        if time.monotonic() > end:
            raise TimeoutError("the workload did not finish in time")
        time.sleep(poll)


def bin_dir():
    return os.path.dirname(sys.executable)


def exe(name):
    p = os.path.join(bin_dir(), name)
    return p if os.path.exists(p) else shutil.which(name)


# ---------------------------------------------------------------- results
def pct(xs, q):
    xs = sorted(xs)
    return xs[min(len(xs) - 1, int(round(q / 100 * (len(xs) - 1))))]


def spin_ms():
    """A fixed pure-Python loop: how fast one core is right now (median of 5)."""
    out = []
    for _ in range(5):
        t = time.perf_counter()
        s = 0
        for i in range(300_000):
            s += i & 7
        out.append((time.perf_counter() - t) * 1e3)
    return statistics.median(out)


def foreign_now(dt=0.3):
    with Foreign() as f:
        time.sleep(dt)
    return f.share


def wait_quiet(limit=0.06, patience=float(os.environ.get("BENCH_PATIENCE", "6"))):
    """
    Waits until other processes use under `limit` of the machine, for `patience` seconds at most.
    """
    end = time.monotonic() + patience
    while foreign_now() > limit and time.monotonic() < end:
        time.sleep(0.3)


def measure(a, peer, once, *, unit, notes="", versions="", steps_per_run=None):
    """once(rep) -> dict(seconds=..., n=..., [lat_ms=[...]], [rss_mb=...]).

    Each repetition waits for a quiet machine. Repetitions during which other processes
    took more than 10 % of the machine are repeated (at most 2 extra ones), and the
    `reps` quietest are the ones that count - chosen by that load, never by the result.
    """
    reps = []
    while len(reps) < a.reps + 2 and sum(d["foreign"] <= 0.10 for d in reps) < a.reps:
        wait_quiet()
        spin = spin_ms()
        with Foreign() as f:
            d = once(len(reps))
        d["foreign"], d["steal"], d["spin"] = f.share, f.steal, (spin + spin_ms()) / 2
        d["cpu_ms"] = 1e3 * f.used / d["n"]
        d["per_s"] = d["n"] / d["seconds"]
        if d.get("lat_ms"):
            d["p50"], d["p99"] = pct(d["lat_ms"], 50), pct(d["lat_ms"], 99)
        reps.append(d)
        if os.environ.get("BENCH_VERBOSE"):
            print("#", {k: v for k, v in d.items() if k != "lat_ms"}, file=sys.stderr, flush=True)
    reps = sorted(reps, key=lambda d: d["foreign"])[: a.reps]
    reps.sort(key=lambda d: d["seconds"])
    mid = reps[len(reps) // 2]
    rnd = lambda x, k=3: None if x is None else round(x, k)
    out = {
        "peer": peer + (f"/{a.variant}" if a.variant else ""),
        "workload": a.workload,
        "n": mid["n"],
        "unit": unit,
        "seconds": rnd(mid["seconds"]),
        "per_s": rnd(mid["per_s"], 1),
        "per_s_min": rnd(min(d["per_s"] for d in reps), 1),
        "per_s_max": rnd(max(d["per_s"] for d in reps), 1),
        "p50_ms": rnd(statistics.median(d["p50"] for d in reps), 2) if "p50" in mid else None,
        "p50_min": rnd(min(d["p50"] for d in reps), 2) if "p50" in mid else None,
        "p50_max": rnd(max(d["p50"] for d in reps), 2) if "p50" in mid else None,
        "p99_ms": rnd(statistics.median(d["p99"] for d in reps), 2) if "p99" in mid else None,
        "p99_min": rnd(min(d["p99"] for d in reps), 2) if "p99" in mid else None,
        "p99_max": rnd(max(d["p99"] for d in reps), 2) if "p99" in mid else None,
        "rss_mb": max((d["rss_mb"] for d in reps if "rss_mb" in d), default=None),
        "cpu_ms_per_unit": rnd(statistics.median(d["cpu_ms"] for d in reps), 2),
        "reps": len(reps),
        "foreign_cpu": rnd(max(d["foreign"] for d in reps)),
        "spin_ms": rnd(statistics.median(d["spin"] for d in reps), 1),
        "versions": versions,
        "python": platform.python_version(),
        "notes": notes,
    }
    # what a workload counts besides: medians over repetitions
    for name in mid.get("figures", ()):
        out[name] = rnd(statistics.median(d["figures"][name] for d in reps if name in d["figures"]), 3)
    if steps_per_run:
        out["steps_per_s"] = rnd(mid["per_s"] * steps_per_run, 1)
        out["steps_per_s_min"] = rnd(out["per_s_min"] * steps_per_run, 1)
        out["steps_per_s_max"] = rnd(out["per_s_max"] * steps_per_run, 1)
        if out["p50_ms"] is not None:
            out["p50_step_ms"] = rnd(out["p50_ms"] / steps_per_run, 3)
    print(json.dumps(out), flush=True)
    return out
