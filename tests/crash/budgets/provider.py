"""An app whose steps call a provider that bills them, and that provider."""

from __future__ import annotations

import os
import random
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, Self

import stepflow
from stepflow import BudgetExceeded, Context, Cost, RetryPolicy, Spending, Stepflow

#: what a call costs at most, and what all together may
MOST, LIMIT = 60, 4000
app = Stepflow()
BUDGET = stepflow.budget("acme", usd=1000, tokens=LIMIT)


def ask(call: str) -> dict[str, Any]:
    """Call the provider, which bills so many tokens; the call's name says which it is."""
    url = f"{os.environ['CRASH_PROVIDER']}/{call}/{os.getpid()}"
    with urllib.request.urlopen(url, timeout=60) as answer:
        return {"tokens": int(answer.read())}


def used(came_to: object) -> Cost | None:
    """Read what a call has cost."""
    return Cost("0.01", came_to["tokens"]) if isinstance(came_to, dict) else None


@app.workflow("spend", retry=RetryPolicy(max_attempts=50, initial=0.02, max_delay=0.2))
async def spend(ctx: Context, name: str) -> str:
    """Call the provider until the budget has no room."""
    spending = Spending(BUDGET, Cost("0.02", MOST), used)
    for number in range(1000):
        try:
            await ctx.step(ask, f"{name}.{number}", spends=spending)
        except BudgetExceeded:
            return "spent"
    return "not spent"


class Provider:
    """A real HTTP server on loopback that bills each call it gets, before it answers."""

    def __init__(self) -> None:
        self.bill: list[int] = []
        self.pids: set[int] = set()
        self._lock, rng = Lock(), random.Random(7)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                _, _, pid = self.path.split("/")
                with outer._lock:
                    tokens = rng.randint(1, MOST)
                    outer.bill.append(tokens)
                    outer.pids.add(int(pid))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"%d" % tokens)

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True

            def handle_error(self, *args: object) -> None:  # who called was killed
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
