"""The demo's webhook receiver: what a web service of yours would do with a stepflow webhook, in thirty lines."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

import standardwebhooks


class Receiver:
    """Listens on a port of this machine, keeps what arrives signed, counts what does not."""

    def __init__(self, secret: str) -> None:
        #: run id -> the webhook-ids that arrived for it, one for each delivery
        self.arrived: dict[str, list[str]] = defaultdict(list)
        self.refused = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # noqa: N802 - the library's name for it
                body = self.rfile.read(int(self.headers["content-length"]))
                try:
                    standardwebhooks.Webhook(secret).verify(body, dict(self.headers.items()))
                except standardwebhooks.WebhookVerificationError:
                    receiver.refused += 1
                    self.send_response(401)
                else:
                    receiver.arrived[json.loads(body)["data"]["run_id"]].append(self.headers["webhook-id"])
                    self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing for each request."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def __enter__(self) -> Receiver:
        threading.Thread(target=self._server.serve_forever, name="demo-receiver", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
