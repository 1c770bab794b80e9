"""
A webhook: a run that calls it at its end, and a receiver that verifies its signature.

    STEPFLOW_WEBHOOK_ALLOW_CIDRS=127.0.0.0/8 python examples/05_webhook.py

Webhooks go to the public internet only, unless this setting of the worker opens other networks.
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
        status = 204  # any 2xx means: do not send it again
        try:
            event = Verifier(SECRET).verify(body, dict(self.headers.items()))
        except WebhookVerificationError:
            status = 400  # not from us, altered, or old: never act on it
        else:
            if self.headers["webhook-id"] not in seen:  # it may arrive twice, under the same id
                seen.add(self.headers["webhook-id"])
                print(event["type"], event["data"]["run_id"], event["data"]["result"])
        self.send_response(status)
        self.end_headers()


def main() -> None:
    receiver = HTTPServer(("127.0.0.1", 0), Receiver)
    command = [sys.executable, "-m", "stepflow", "worker", "examples.05_webhook:app"]
    worker = subprocess.Popen(command)
    url = f"http://127.0.0.1:{receiver.server_port}/stepflow"
    hook = Webhook(url, secret_env="GREETINGS_SECRET")
    try:
        app.client.submit("greet", "world", run_id="greet-1", webhooks=[hook])
        receiver.handle_request()  # one delivery
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()
