"""
A workflow as data: onboarding.yaml, with tools of this app, and members.py, which it asks.

    python examples/flows/onboarding.py
"""

import os
from subprocess import PIPE, Popen
from sys import executable
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

if __name__ == "__main__":
    allowed = {"MEMBERS_TOKEN": "s3cr3t-token", "STEPFLOW_WEBHOOK_ALLOW_CIDRS": "127.0.0.0/8"}
    command = [executable, "-m", "stepflow", "worker", "examples.flows.onboarding:app"]
    members = Popen([executable, "examples/flows/members.py"], stdout=PIPE, text=True)
    worker = Popen(command, env={**os.environ, **allowed})
    try:
        assert members.stdout is not None  # a PIPE
        api = members.stdout.readline().strip()
        for teams in (["dev", "ops"], ["moon"]):
            given = {"name": "Ada", "api": api, "teams": teams}
            run = app.client.submit_definition("onboarding", given)
            while not (questions := app.client.questions_of(run.id)):
                sleep(0.05)
            app.client.answer(questions[0].token, value=True)
            ended = run.wait(timeout=60)
            print(ended.state, ended.error.message if ended.error else ended.result, flush=True)
    finally:
        for process in (worker, members):
            process.terminate()
            process.wait()
