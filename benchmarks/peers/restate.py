"""
Restate: its server, and a service under hypercorn, with default settings (W1, W2, W4).

Both start afresh for each repetition.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import restate

from benchmarks import common as c

service = restate.Service("bench")


@service.handler()
async def chain(ctx: restate.Context, steps: int) -> int:
    def one(n: int) -> dict[str, int]:
        c.hit()
        return {"n": n}

    for n in range(steps):
        await ctx.run_typed(f"s{n}", one, n=n)
    return steps


@service.handler()
async def nap(ctx: restate.Context, n: int) -> dict[str, int]:
    async def one() -> dict[str, int]:
        await asyncio.sleep(1)
        c.hit()
        return {"n": n}

    return await ctx.run_typed("nap", one)


app = restate.app(services=[service])


def post(to: http.client.HTTPConnection, path: str, body: Any) -> None:
    to.request("POST", path, json.dumps(body), {"content-type": "application/json"})
    answer = to.getresponse()
    said = answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"{path}: {answer.status} {said[:300]!r}")


def answers(port: int, path: str) -> bool:
    with suppress(OSError):
        probe = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        probe.request("GET", path)
        return probe.getresponse().status < 400
    return False


def registered(admin: int, port: int) -> bool:
    with suppress(OSError, RuntimeError):
        to = http.client.HTTPConnection("127.0.0.1", admin, timeout=10)
        post(to, "/deployments", {"uri": f"http://127.0.0.1:{port}"})
        return True
    return False


def program() -> str:
    """The server's program, where npm put it."""
    return str(
        next(Path(sys.prefix).glob("node_modules/@restatedev/restate-server-*/bin/restate-server"))
    )


@contextmanager
def stack(steps: int) -> Iterator[tuple[http.client.HTTPConnection, c.Proc]]:
    """Run the server and the service, warmed up; give the way in and the service's process."""
    ingress, admin, node, port = (c.free_port() for _ in range(4))
    server = c.Proc([program(), "--no-logo"], env={
        "RESTATE_BASE_DIR": tempfile.mkdtemp(), "RESTATE_DISABLE_TELEMETRY": "true",
        "RUST_LOG": "error", "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
        "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{node}", "RESTATE_LISTEN_MODE": "tcp",
    })  # fmt: skip
    bind = ["--bind", f"127.0.0.1:{port}", "--log-level", "error"]
    worker = c.Proc([c.exe("hypercorn"), *bind, "benchmarks.peers.restate:app"])
    try:
        c.wait_for(
            lambda: answers(admin, "/health") and answers(ingress, "/restate/health"),
            60,
            0.1,
            server,
        )
        c.wait_for(lambda: registered(admin, port), 20, 0.1, worker)
        entrance = http.client.HTTPConnection("127.0.0.1", ingress, timeout=60)
        post(entrance, "/bench/chain", steps)
        yield entrance, worker
    finally:
        worker.stop(wait=2)
        server.stop(wait=5)


@contextmanager
def stopped(process: c.Proc) -> Iterator[None]:
    """Hold the service, so that everything is sent before the first step."""
    everyone = [process.pid, *c.children(process.pid)]
    for pid in everyone:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in everyone:
            os.kill(pid, signal.SIGCONT)


def main() -> None:
    args = c.args(["W1", "W2", "W4"], variant="default")
    marks = c.Marks(create=True)
    handler, given, each = (
        ("nap", 1, 1) if args.workload == "W4" else ("chain", args.steps, args.steps)
    )

    def batch(_: int) -> dict[str, Any]:
        with stack(args.steps) as (entrance, worker):
            marks.reset()
            with stopped(worker):
                for _n in range(args.n):
                    post(entrance, f"/bench/{handler}/send", given)
            rss = c.PeakRSS(worker.pid)
            c.wait_for(lambda: marks.count >= args.n * each, 120, 0.05, worker)
            return {
                "seconds": marks.span + (args.workload == "W4"),
                "n": args.n,
                "rss_mb": rss.done(),
            }

    def latency(_: int) -> dict[str, Any]:
        with stack(args.steps) as (entrance, _worker):
            lat = []
            for _n in range(args.n):
                began = time.perf_counter()
                post(entrance, "/bench/chain", args.steps)
                lat.append((time.perf_counter() - began) * 1e3)
        return {"seconds": sum(lat) / 1e3, "n": args.n, "lat_ms": lat}

    alone = args.workload == "W2"
    server = subprocess.run(
        [program(), "--version"], capture_output=True, text=True, check=True
    ).stdout.split()[1]
    c.measure(
        args,
        "restate",
        latency if alone else batch,
        unit="runs",
        steps_per_run=None if args.workload == "W4" else args.steps,
        versions=c.version("restate_sdk", "hypercorn") + f", restate-server {server}",
        notes="call to answer"
        if alone
        else "sent first; first to last step; RSS of the service's process only",
    )


if __name__ == "__main__":
    main()
