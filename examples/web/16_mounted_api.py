"""
FastAPI with stepflow's HTTP API mounted: operators look and steer behind the guard that you have.

    stepflow worker examples.web.16_mounted_api:app &
    uvicorn examples.web.16_mounted_api:api --timeout-graceful-shutdown 2

The time limit is for streams that browsers have open when the server leaves.
"""

import asyncio
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request

from stepflow import AsyncClient, Step, Stepflow, Succeed
from stepflow.web import Grant
from stepflow.web import app as stepflow_api

app, client = Stepflow(), AsyncClient()
USERS = {"secret of ann": "ann", "secret of bob": "bob"}  # stands for your sessions


@app.runner("report")
async def report(step: Step[str]):
    await asyncio.sleep(0.1)  # stands for the work
    return Succeed(f"report for {step.payload}")


async def access(request: Request) -> Grant | None:
    user = USERS.get(request.cookies.get("session", ""))  # your own guard says who it is
    if user is None:
        return None
    return Grant("all" if user == "ann" else {"retry"}, by=user)  # bob may look, and retry


@asynccontextmanager
async def lifespan(api: FastAPI):
    async with client:
        yield


api = FastAPI(lifespan=lifespan)
api.mount("/stepflow", stepflow_api(client, access=access))


@api.post("/reports", status_code=202)
async def submit(customer: str):
    run = await client.submit("report", customer)
    return {"id": run.id, "look": f"/stepflow/runs/{run.id}"}
