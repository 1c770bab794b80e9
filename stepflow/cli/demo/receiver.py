"""The demo's webhook receiver: what your own web service would do with a stepflow webhook."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

import standardwebhooks


class Receiver:
    """
    An HTTP server that keeps what arrives with a good signature, and refuses and counts the rest.

    *report* is called with a line for each.
    """

    def __init__(
        self,
        secret: str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        report: Callable[[str], object] = len,
    ) -> None:
        #: run id -> the webhook-ids that arrived for it, one for each delivery
        self.arrived: dict[str, list[str]] = defaultdict(list)
        self.refused = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                try:
                    standardwebhooks.Webhook(secret).verify(body, dict(self.headers.items()))
                except standardwebhooks.WebhookVerificationError:
                    receiver.refused += 1
                    report("refused: its signature is wrong")
                    self.send_response(401)
                else:
                    event = json.loads(body)
                    receiver.arrived[event["data"]["run_id"]].append(self.headers["webhook-id"])
                    hook_id = self.headers["webhook-id"]
                    report(f"{event['type']} {event['data']['run_id']} (webhook-id {hook_id})")
                    self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Log no requests."""

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="receiver", daemon=True
        )
        self.url = f"http://{host}:{self._server.server_port}/hook"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def join(self) -> None:
        """Serve until the process ends."""
        self._thread.join()
