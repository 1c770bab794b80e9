"""An app whose steps call an endpoint that may be down, through a breaker; and that endpoint."""

from __future__ import annotations

import os
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, Self

from stepflow import Breaker, Context, RetryPolicy, Step, Stepflow, Succeed

FAILURES, RESET_S = 5, 2.0
app = Stepflow()
endpoint = Breaker("endpoint", failures=FAILURES, reset=RESET_S)


def call(order: int) -> int:
    """Ask the endpoint, and say which process asks."""
    url = f"{os.environ['CRASH_ENDPOINT']}/{order}/{os.getpid()}"
    with urllib.request.urlopen(url, timeout=60) as answer:
        return int(answer.read())


@app.workflow("charge", retry=RetryPolicy(max_attempts=50, initial=0.05, max_delay=0.5))
async def charge(ctx: Context, order: int) -> int:
    """Call the endpoint once the breaker lets it."""
    return await ctx.step(call, order, breaker=endpoint)


@app.workflow("cached", retry=RetryPolicy(max_attempts=50, initial=0.05, max_delay=0.5))
async def cached(ctx: Context, order: int) -> int:
    """Call the endpoint for an order that no run has called it for."""
    return await ctx.step(call, order, cache=60)


@app.runner("quick")
async def quick(step: Step[int]) -> Succeed:
    """Need no endpoint."""
    return Succeed(step.payload)


class Call(NamedTuple):
    """A call that arrived: in which mode, its order, its process, when, how many had answers."""

    mode: str
    order: int
    pid: int
    at: float
    calls_answered: int


class Endpoint:
    """A real HTTP server on loopback; *mode* is `down`, `hangs` or `up`."""

    def __init__(self) -> None:
        self.mode = "down"
        self.calls: list[Call] = []
        self.answered: list[int] = []
        self._lock = threading.Lock()
        self._freed = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._answer(self)

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True

            def handle_error(self, *args: object) -> None:  # who called was killed
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def last(self, mode: str) -> Call | None:
        """Give the last call that came in *mode*."""
        return next((call for call in reversed(self.calls) if call.mode == mode), None)

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        _, order, pid = request.path.split("/")
        with self._lock:
            mode = self.mode
            known = Call(mode, int(order), int(pid), time.monotonic(), len(self.answered))
            self.calls.append(known)
        if mode == "hangs":
            self._freed.wait(60)
            return
        if mode == "up":
            time.sleep(0.05)
            with self._lock:
                self.answered.append(int(order))
        request.send_response(200 if mode == "up" else 503)
        request.end_headers()
        request.wfile.write(order.encode())

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._freed.set()
        self._server.shutdown()
        self._server.server_close()
