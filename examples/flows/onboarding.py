"""
A workflow as data: examples/flows/onboarding.yaml, with tools of this app.

    python examples/flows/onboarding.py

Edit the file while it runs: a run keeps the definition that it began with.
"""

import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from time import sleep

from stepflow import Context, Stepflow

app = Stepflow()


@app.tool
def create_account(name: str, level: int) -> dict[str, str]:
    return {"id": f"acc-{name}"}


@app.tool
def delete_account(account: str) -> None:
    print("deleted", account, flush=True)


@app.tool
async def join_team(account: str, team: str) -> str:
    if team == "moon":
        raise ValueError(f"there is no team {team}")
    return f"{account} is in {team}"


@app.workflow("welcome")
async def welcome(ctx: Context, account: str) -> str:
    return f"mail to {account}"


app.definitions("examples/flows", env=["MEMBERS_TOKEN"], scripts=True)


class Members(BaseHTTPRequestHandler):
    """The API that the definition asks; it is no part of it."""

    def do_GET(self) -> None:
        self.send_response(200 if self.headers["authorization"] == "Bearer s3cr3t-token" else 401)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"level": 3}')

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its base calls it so
        pass


def main() -> None:
    members = HTTPServer(("127.0.0.1", 0), Members)
    Thread(target=members.serve_forever, daemon=True).start()
    api = f"http://127.0.0.1:{members.server_port}"
    allowed = {"MEMBERS_TOKEN": "s3cr3t-token", "STEPFLOW_WEBHOOK_ALLOW_CIDRS": "127.0.0.0/8"}
    command = [sys.executable, "-m", "stepflow", "worker", "examples.flows.onboarding:app"]
    worker = subprocess.Popen(command, env={**os.environ, **allowed})
    try:
        for teams in (["dev", "ops"], ["moon"]):
            given = {"name": "Ada", "api": api, "teams": teams}
            run = app.client.submit_definition("onboarding", given)
            while not (questions := app.client.questions_of(run.id)):
                sleep(0.05)
            app.client.answer(questions[0].token, value=True)
            ended = run.wait(timeout=60)
            print(ended.state, ended.result if ended.error is None else ended.error.message)
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()
