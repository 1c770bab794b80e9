"""
A webhook: a receiver that verifies its signature, and a run whose end it is told of.

    STEPFLOW_WEBHOOK_ALLOW_CIDRS=127.0.0.0/8 python examples/05_webhook.py

Webhooks go to the public internet only; the setting opens other networks. The worker inherits it
and the secret.
"""

import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from stepflow import Step, Stepflow, Succeed, Webhook

app = Stepflow()
SECRET = os.environ.setdefault("GREETINGS_SECRET", "whsec_bXktc2VjcmV0LW15LXNlY3JldC1teS1zZWNyZXQ=")
seen: set[str] = set()  # in a database, if you have one


@app.runner("greet")
async def greet(step: Step):
    return Succeed(f"hello, {step.payload}")


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            event = Verifier(SECRET).verify(body, dict(self.headers.items()))
        except WebhookVerificationError:
            return self.answer(400)  # not from us, altered, or old: never act on it
        if self.headers["webhook-id"] not in seen:  # it may arrive twice, then its id is the same
            seen.add(self.headers["webhook-id"])
            print(event["type"], event["data"]["run_id"], event["data"]["result"])
        return self.answer(204)  # any 2xx says: do not send it again

    def answer(self, status):
        self.send_response(status)
        self.end_headers()


def main() -> None:
    receiver = HTTPServer(("127.0.0.1", 0), Receiver)
    worker = subprocess.Popen(
        [sys.executable, "-m", "stepflow", "worker", "examples.05_webhook:app"]
    )
    try:
        hook = Webhook(
            f"http://127.0.0.1:{receiver.server_port}/stepflow", secret_env="GREETINGS_SECRET"
        )
        app.client.submit(
            "greet", "world", run_id="greet-1", webhooks=[hook], on_conflict="restart"
        )
        receiver.handle_request()  # one delivery
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()
